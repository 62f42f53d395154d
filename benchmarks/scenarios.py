"""What is measured side by side, and the bars that recapito has to pass."""

from dataclasses import dataclass

from receiver import Kind

__all__ = ["BARS", "SCENARIOS", "Bar", "Scenario"]

NEAR, LINES, SAFE = Kind(), Kind(chunking=False), Kind(tls=True)
FAR, FAR_LINES = Kind(delay=0.03), Kind(chunking=False, delay=0.03)

#: Messages of one run, so that each peer has about half a second to a second.
PACE = {"recapito": 5000, "recapito, blocking": 5000, "recapito, 2 hooks": 5000, "nodemailer": 4000,
        "smtp-source": 8000, "Django": 1200, "smtplib": 1000, "aiosmtplib": 700}  # fmt: skip
ALL = tuple(PACE)
FOUR = ("recapito", "nodemailer", "Django", "aiosmtplib")


@dataclass(frozen=True)
class Scenario:
    """One workload on one kind of line, by some peers; ``share`` of the usual number of messages."""

    name: str
    kind: Kind
    workload: str
    connections: int
    peers: tuple[str, ...]
    share: float = 1.0
    least: int = 3


SCENARIOS = (
    Scenario("1 KB", NEAR, "1 KB", 5, ALL),
    Scenario("1 KB, PIPELINING only", LINES, "1 KB", 5, ("recapito", "nodemailer", "smtp-source")),
    Scenario("1 KB with accents", NEAR, "1 KB, accents", 5, ("recapito", "nodemailer")),
    Scenario("200 KB file", NEAR, "200 KB", 5, (*FOUR, "smtp-source"), 0.1),
    Scenario("10 MB file", NEAR, "10 MB", 1, FOUR, 0.002),
    Scenario("10 MB file, TLS", SAFE, "10 MB", 1, ("recapito", "nodemailer"), 0.002),
    Scenario(
        "1 KB, 30 ms, 1 connection", FAR, "1 KB", 1, ("recapito", "nodemailer", "aiosmtplib"), 0.004, 12
    ),
    Scenario(
        "1 KB, 30 ms, 5 connections", FAR, "1 KB", 5, ("recapito", "nodemailer", "aiosmtplib"), 0.02, 40
    ),
    Scenario(
        "1 KB, 30 ms, 1 connection, PIPELINING only",
        FAR_LINES,
        "1 KB",
        1,
        ("recapito", "nodemailer"),
        0.004,
        12,
    ),
    Scenario(
        "1 KB, 30 ms, 5 connections, PIPELINING only",
        FAR_LINES,
        "1 KB",
        5,
        ("recapito", "nodemailer"),
        0.02,
        40,
    ),
)


@dataclass(frozen=True)
class Bar:
    """A ratio that recapito has to reach: ``what`` is rate, cpu or rtt; a cpu ratio must be at most ``bar``."""

    scenario: str
    what: str
    against: str
    bar: float


BARS = (
    Bar("1 KB", "rate", "nodemailer", 2.5),
    Bar("1 KB", "rate", "Django", 4),
    Bar("1 KB", "rate", "aiosmtplib", 8),
    Bar("1 KB", "cpu", "smtp-source", 4),
    Bar("1 KB", "cpu", "nodemailer", 0.4),
    Bar("1 KB, PIPELINING only", "rate", "nodemailer", 2),
    Bar("1 KB, PIPELINING only", "cpu", "smtp-source", 5),
    Bar("1 KB with accents", "rate", "nodemailer", 1.5),
    Bar("200 KB file", "rate", "nodemailer", 1.6),
    Bar("200 KB file", "rate", "Django", 4.5),
    Bar("200 KB file", "rate", "aiosmtplib", 4.5),
    Bar("200 KB file", "rate", "smtp-source", 0.4),
    Bar("10 MB file", "rate", "nodemailer", 3),
    Bar("10 MB file", "rate", "Django", 10),
    Bar("10 MB file", "rate", "aiosmtplib", 10),
    Bar("10 MB file", "cpu", "nodemailer", 0.35),
    Bar("10 MB file", "cpu", "b2a_base64", 2),
    Bar("10 MB file, TLS", "rate", "nodemailer", 2.2),
    Bar("1 KB, 30 ms, 1 connection", "rate", "nodemailer", 1.9),
    Bar("1 KB, 30 ms, 1 connection", "rate", "aiosmtplib", 3.8),
    Bar("1 KB, 30 ms, 1 connection", "rate", "round trips", 0.9),
    Bar("1 KB, 30 ms, 5 connections", "rate", "nodemailer", 1.9),
    Bar("1 KB, 30 ms, 5 connections", "rate", "aiosmtplib", 3.8),
    Bar("1 KB, 30 ms, 5 connections", "rate", "round trips", 0.9),
    Bar("1 KB, 30 ms, 1 connection, PIPELINING only", "rate", "nodemailer", 1.9),
    Bar("1 KB, 30 ms, 1 connection, PIPELINING only", "rate", "round trips", 0.9),
    Bar("1 KB, 30 ms, 5 connections, PIPELINING only", "rate", "nodemailer", 1.9),
    Bar("1 KB, 30 ms, 5 connections, PIPELINING only", "rate", "round trips", 0.9),
    Bar("25 MB file, memory", "MB", "nodemailer", 1 / 3),
    Bar("25 MB file, memory", "MB", "5 MB", 1),
)
