"""A reply rule: what must be true of a server's reply for a code to explain it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from recapito.catalogue.code import Code
from recapito.catalogue.moment import Retry
from recapito.outcome import Outcome
from recapito.reply import Credential, ServerReply, Via

__all__ = ["ReplyRule"]

_AADSTS = re.compile(r"AADSTS(\d{4,9})\b")


@dataclass(frozen=True)
class ReplyRule:
    """Explains by ``code`` the replies that meet every condition; an empty condition is met by all.

    ``hosts`` match a server of that name or under it, ``domains`` that of the account or the sender.
    ``aadsts`` are Microsoft's numbers. ``text`` is a regular expression, searched without regard to case; its
    named groups become parameters.
    ``explained`` is a plugin's own code, whose texts are those of ``package``; without it ``code`` is core's.
    ``outcome`` replaces the code's. ``refuses_alias``: held where the sender is the profile's own, but refused,
    for this message only, where it chose an alias.
    """

    code: str
    via: tuple[Via, ...] = ("smtp",)
    hosts: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    status: tuple[int, ...] = ()
    enhanced: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    step: tuple[str, ...] = ()
    credential: tuple[Credential, ...] = ()
    aadsts: tuple[int, ...] = ()
    text: str = ""
    #: True: only where this host has worked for the profile (``params["worked"]`` is true); False: only where it is
    #: known that it has not (0). A transport that does not know leaves it out, and meets neither.
    worked: bool | None = None
    retry: Retry | None = None
    refuses_alias: bool = False
    outcome: Outcome | None = None
    params: Mapping[str, str | int | float] = field(default_factory=dict)
    explained: Code | None = None
    package: str = "recapito"
    unconfirmed: bool = False
    source: Literal["core", "plugin"] = "plugin"

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        """``text``, compiled."""
        return re.compile(self.text, re.IGNORECASE | re.DOTALL) if self.text else None

    @cached_property
    def specificity(self) -> tuple[int, int, int]:
        """How narrow it is; of two that match, the narrower explains.

        An enhanced code, or the vendor's own error, weighs more than two other conditions together: it says
        what happened, where a status says only how bad it was and words change. Entra's numbers refine its error.
        """
        codes = (self.enhanced, self.error, self.aadsts)
        exact = (*codes, self.hosts or self.domains, self.step, self.status, self.credential)
        narrowed = sum(map(bool, exact)) + (self.worked is not None)
        weight = 3 if self.aadsts else 2 if self.enhanced or self.error else 0
        return weight + narrowed + bool(self.text), narrowed, len(self.text)

    def matches(self, reply: ServerReply) -> bool:
        """Whether the reply meets every condition."""
        return (
            reply.via in self.via
            and (not self.status or reply.status in self.status)
            and (not self.enhanced or reply.enhanced in self.enhanced)
            and (not self.error or reply.error.lower() in self.error)
            and (not self.step or reply.step in self.step)
            and (not self.credential or reply.credential in self.credential)
            and (not self.aadsts or not _numbers(reply.text).isdisjoint(self.aadsts))
            and (self.worked is None or _known(reply, "worked") is self.worked)
            and (not self.hosts or _under(reply.host, self.hosts))
            and (not self.domains or _of_domain(reply, self.domains))
            and (self.pattern is None or self.pattern.search(reply.text) is not None)
        )

    def found_in(self, reply: ServerReply) -> dict[str, str]:
        """The parameters that the reply's words give."""
        match = self.pattern.search(reply.text) if self.pattern else None
        return {name: said for name, said in match.groupdict().items() if said} if match else {}


def _known(reply: ServerReply, fact: str) -> bool | None:
    return bool(reply.params[fact]) if fact in reply.params else None


def _numbers(text: str) -> set[int]:
    return {int(number) for number in _AADSTS.findall(text)}


def _under(host: str, known: tuple[str, ...]) -> bool:
    host = host.lower().rstrip(".")
    return any(host == each or host.endswith("." + each) for each in known)


def _of_domain(reply: ServerReply, known: tuple[str, ...]) -> bool:
    return any(_under(address.rpartition("@")[2], known) for address in (reply.account, reply.sender))
