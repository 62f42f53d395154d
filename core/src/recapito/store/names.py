"""Texts that both databases can hold: PostgreSQL takes no NUL, neither takes half a surrogate pair."""

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.profile import ProfileKey

__all__ = ["is_possible", "refuse_impossible", "storable"]


def is_possible(key: ProfileKey) -> bool:
    """Whether anything can be kept under ``key``; the database need not be asked about others."""
    return all(part.isprintable() for part in key) and bool(key.operator and key.name)


def refuse_impossible(key: ProfileKey) -> None:
    """Raise Misconfigured (SETTINGS-INVALID) for a key with control characters, or without operator or name."""
    if is_possible(key):
        return
    shown = "/".join(part.encode("unicode_escape").decode() for part in key if part)
    wrong = {
        name: "is empty" if not part else "holds a control character"
        for name, part in key._asdict().items()
        if not part.isprintable() or (not part and name != "company")
    }
    listed = "; ".join(f"{name} {reason}" for name, reason in wrong.items())
    raise Misconfigured(problem("SETTINGS-INVALID", profile=shown, fields=listed), wrong)


def storable(text: str) -> str:
    """``text``, with what cannot be stored replaced: for names that are only noted, never used."""
    if text.isprintable():
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
