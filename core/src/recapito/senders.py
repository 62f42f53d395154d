"""The addresses of a profile: checked when they are saved, as they are again when a message is rendered."""

import re

from recapito.address import parse_address
from recapito.errors import InvalidMessage
from recapito.profile import Profile
from recapito.texts import Phrase

__all__ = ["checked_senders"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def checked_senders(profile: Profile, wrong: dict[str, str]) -> Profile:
    """``profile`` with its addresses in their plain form; ``wrong`` gets a line for each that is not one."""
    if _CONTROL.search(profile.sender_name):
        wrong["sender_name"] = Phrase("has a control character")
    return profile.with_(
        sender=_plain(profile.sender, "sender", wrong),
        aliases=tuple(_plain(alias, "aliases", wrong) for alias in profile.aliases),
        reply_to=_plain(profile.reply_to, "reply_to", wrong) if profile.reply_to else None,
    )


def _plain(text: str, field: str, wrong: dict[str, str]) -> str:
    if not text:
        wrong[field] = Phrase("is missing")
        return text
    try:
        return parse_address(text, field).addr_spec
    except InvalidMessage as exc:
        found = exc.problem
        wrong[field] = Phrase.made(lambda language: found.explain(language).what)
        return text
