"""The hooks: what a plugin, or the host, may implement. ``docs/hooks.md`` shows each one in use.

Implementations are plain functions marked with :data:`hookimpl`; ``async def`` is refused when the plugin is
loaded. With ``Mailer`` they run in the caller's thread, with ``AsyncMailer`` in one worker thread that has a
copy of the caller's context. Each implementation is called by itself: one that raises is reported under its
plugin's name, and the others still run.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

import pluggy

from recapito.message import AnyMessage
from recapito.problem import Problem
from recapito.profile import Profile, ProfileKey
from recapito.receipt import Receipt
from recapito.transport import ClientInfo, TransportInfo

if TYPE_CHECKING:
    from recapito.catalogue import Provider, ReplyRule, Way

__all__ = [
    "HOOK_API",
    "Change",
    "ProviderRegister",
    "Subject",
    "TransportRegister",
    "hookimpl",
    "hookspec",
]

#: Major: something a plugin relies on changed. Minor: something was added. A plugin may say which it was built
#: for in a module constant ``RECAPITO_HOOK_API = (1, 0)`` (which is what it means not to say); another major, or
#: a higher minor, is a fault.
HOOK_API = (1, 0)

hookspec = pluggy.HookspecMarker("recapito")
hookimpl = pluggy.HookimplMarker("recapito")


class TransportRegister(Protocol):
    """Handed to ``recapito_register_transports``."""

    def transport(self, info: TransportInfo) -> None:
        """Offer a transport; its name belongs to the distribution called ``recapito-NAME``."""
        ...

    def client(self, info: ClientInfo) -> None:
        """Offer a kind of OAuth registration."""
        ...


class ProviderRegister(Protocol):
    """Handed to ``recapito_register_providers``."""

    def provider(self, provider: "Provider") -> None:
        """Add a catalogue entry; a domain that two entries claim is a reported fault."""
        ...

    def way(self, provider: str, way: "Way") -> None:
        """Add a way to an entry by its id."""
        ...

    def rule(self, rule: "ReplyRule") -> None:
        """Add a reply rule; a plugin's rules are asked before core's."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a profile: ``fields`` are names, never values."""

    action: Literal["created", "edited", "removed", "signed_in", "signed_out", "paused", "resumed"]
    by: str
    at: datetime
    fields: tuple[str, ...] = ()
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What needs a person: a profile, a client (one word for all its profiles), or the store."""

    kind: Literal["profile", "client", "store"]
    name: str
    profile: ProfileKey | None = None
    company: str = field(default="")


@hookspec
def recapito_register_transports(register: TransportRegister) -> None:
    """Called once, when plugins are loaded, by the plugin manager, in the thread that loads them.

    Register each transport with ``register.transport`` and each OAuth registration kind with
    ``register.client``. It must be cheap: import no network library here, nor in the module. What it raises
    becomes the plugin's fault; none of its transports is then offered.
    """


@hookspec
def recapito_register_providers(register: ProviderRegister) -> None:
    """Called once, when plugins are loaded, after ``recapito_register_transports``, in the same thread.

    Add catalogue entries, ways and reply rules. What it raises becomes the plugin's fault; nothing of it is
    then added.
    """


@hookspec
def recapito_prepare_message(profile: Profile, message: AnyMessage) -> AnyMessage | None:
    """Called once for each message, before it is rendered (for the outbox: before the row is written).

    Called by the mailer, in order of distribution name, each implementation getting the previous one's
    result. Return the message to send, or None to leave it. Raise :class:`recapito.errors.Refused` to refuse
    it with a reason; any other exception is reported and changes nothing. Finished bytes may be refused, not
    changed: another object returned for them is a fault and is not used.
    """


@hookspec
def recapito_record_receipt(profile: Profile, receipt: Receipt) -> None:
    """Called by the mailer after every attempt, whatever became of it, before ``send`` returns or raises.

    For audit, metrics and the host's own table. Whatever it raises is reported and changes no outcome.
    """


@hookspec
def recapito_record_change(profile: Profile, change: Change) -> None:
    """Called after a profile was created, edited, removed, signed in or out, paused or resumed.

    Called by whoever made the change (command line, page, host, or the mailer where a send paused it), in the
    thread that made it. The change is already saved; whatever this raises is reported and undoes nothing.
    """


@hookspec
def recapito_request_attention(subject: Subject, problem: Problem) -> None:
    """Called once for each new problem that a person must solve, after the profile was paused.

    Called by the mailer (or the worker of the outbox), in the thread in which it calls hooks. Tell them by
    another channel than the broken mailbox. It is not called again until the problem was solved and came back.
    Whatever it raises is reported; the problem then counts as told.
    """
