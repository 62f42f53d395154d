"""What the facts about messages share: a profile, and a way to see what left as its reader does."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from recapito.content import Content
from recapito.envelope import Envelope
from recapito.errors import InvalidMessage
from recapito.message import AnyMessage
from recapito.profile import Profile
from recapito.rendering import Rendered, render


@dataclass
class Arrived:
    """What left, and how the standard library reads it."""

    rendered: Rendered
    octets: bytes

    @property
    def envelope(self) -> Envelope:
        return self.rendered.envelope

    @property
    def content(self) -> Content:
        return self.rendered.content

    @property
    def head(self) -> bytes:
        return self.octets.partition(b"\r\n\r\n")[0] + b"\r\n"

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.octets, policy=policy.default)


def octets_of(content: Content) -> bytes:
    async def joined() -> bytes:
        return b"".join([chunk async for chunk in content.chunks()])

    return asyncio.run(joined())


@pytest.fixture(scope="session")
def profile() -> Profile:
    return Profile.of(
        "anna",
        sender="anna@example.it",
        transport="memory",
        sender_name="Anna Verdi",
        aliases=("fatture@example.it", "ordini@caffè.it"),
        reply_to="ufficio@example.it",
    )


@pytest.fixture(scope="session")
def read() -> Callable[[Content], bytes]:
    return octets_of


@pytest.fixture(scope="session")
def send(profile: Profile) -> Callable[..., Arrived]:
    """Render and read; whatever was sent is lawful on the wire and as long as it said."""

    def sent(message: AnyMessage, *, to: Any = None, profile: Profile = profile) -> Arrived:
        rendered = render(message, profile, to=to)
        octets = octets_of(rendered.content)
        assert len(octets) == rendered.content.size
        assert octets == octets_of(rendered.content), "a second reading differs"
        assert octets.endswith(b"\r\n")
        assert b"\0" not in octets
        assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
        assert max(map(len, octets.split(b"\r\n"))) <= 998
        assert rendered.content.is_7bit == octets.isascii()
        return Arrived(rendered, octets)

    return sent


@pytest.fixture(scope="session")
def refused(profile: Profile) -> Callable[..., InvalidMessage]:
    """The error that a message gets; its texts are complete in both languages."""

    def error(
        message: AnyMessage, code: str, *, to: Any = None, profile: Profile = profile
    ) -> InvalidMessage:
        with pytest.raises(InvalidMessage) as caught:
            render(message, profile, to=to)
        problem = caught.value.problem
        assert problem.code == code
        for language in ("en", "it"):
            explanation = problem.explain(language)
            assert explanation.what != code, "there is no text"
            assert explanation.do, "there is no remedy"
            assert (
                "…" not in str(explanation)
                or any("…" in str(value) for value in problem.params.values())
                or (code in {"MSG-HEADER-OWNED", "ADDR-GROUP", "SENDER-NOT-ALLOWED"})
            )
        return caught.value

    return error
