# ruff: noqa: ARG002, B027 - what a bench can do differs: each method is there to be overridden, or left
"""The bench: what a plugin's author supplies so that the checks can meet the far side of a transport."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from recapito.envelope import Notify
from recapito.profile import Found
from recapito.secret import Secrets
from recapito.testing.context import TestContext
from recapito.testing.stored import Ending
from recapito.transport import Capabilities, Context, Session, TransportInfo

__all__ = ["Arrived", "Bench", "UnsupportedByBench"]


class UnsupportedByBench(AssertionError):
    """The bench cannot do what a check needs. Declare the check in ``unsupported``, with the reason."""

    def __init__(self, ability: str) -> None:
        super().__init__(
            f"the bench cannot {ability}: override it, or declare the check in `unsupported` with a reason"
        )


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message as the far side has it: ``account`` is who had signed in."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes = field(repr=False)
    account: str = ""
    notify: frozenset[Notify] = frozenset()


class Bench(ABC):
    """One transport and the far side that it talks to, behaving until told otherwise.

    Three methods must be written; each of the others makes the far side do something to whatever comes next, and
    says by default that the bench cannot. ``sender_domain`` and ``recipients`` may be changed where a far side
    needs other addresses.
    """

    recipients: Sequence[str] = ("cliente@example.com", "ufficio@example.com", "archivio@example.com")

    def __init__(self, info: TransportInfo) -> None:
        self.info = info

    @abstractmethod
    def found(self, number: int = 1) -> Found:
        """The profile of operator ``number``, 1 or 2, with good secrets of at least 8 characters, all different."""

    @abstractmethod
    def arrived(self) -> Sequence[Arrived]:
        """Every message that the far side took, in order."""

    @abstractmethod
    def behave(self) -> None:
        """Take back everything that the methods below did."""

    def context(self, found: Found) -> Context:
        """What the transport is given for that profile."""
        return TestContext(found)

    @property
    def claims(self) -> Capabilities:
        """What the transport claims for these profiles."""
        return self.info.for_profile(self.found().profile).capabilities

    def account(self, found: Found) -> str:
        """What :attr:`Arrived.account` says when that profile has sent."""
        return found.profile.sender

    def same(self, sent: bytes, arrived: bytes) -> bool:
        """Whether what arrived is what was sent; override it where a provider adds fields of its own."""
        return sent == arrived

    def let_idle(self, session: Session) -> None:
        """Make the session believe that it was idle for long, where it acts on that."""

    def wrong_secrets(self, found: Found) -> Found:
        """The same profile with secrets that the far side does not accept."""
        wrong = {name: f"wrong-{name}-{len(name):08}" for name in found.secrets}
        return Found(found.profile, Secrets(wrong), "wrong")

    # What the far side does next

    def refuse_sender(self) -> None:
        """Refuse the sender for good."""
        raise UnsupportedByBench("refuse the sender")

    def refuse_recipient(self, address: str) -> None:
        """Refuse one recipient for good, and take the others."""
        raise UnsupportedByBench("refuse one recipient")

    def limit_size(self, size: int) -> None:
        """Refuse for good what is larger than ``size`` bytes, by announcing it or after the fact."""
        raise UnsupportedByBench("refuse by size")

    def answer_temporarily(self) -> None:
        """Read the whole content, and answer that it cannot be taken for now."""
        raise UnsupportedByBench("answer temporarily")

    def lose_sign_in(self) -> None:
        """No longer accept the secrets, for open lines and new ones."""
        raise UnsupportedByBench("lose a sign-in")

    def throttle(self) -> None:
        """Say that this mailbox sends too fast."""
        raise UnsupportedByBench("throttle")

    def lose_before_content(self) -> None:
        """Lose the line before any content could have been taken."""
        raise UnsupportedByBench("lose the line before the content")

    def lose_after_content(self) -> None:
        """Lose the line when the content has come whole, without an answer."""
        raise UnsupportedByBench("lose the line after the content")

    def drop_idle(self, ending: Ending) -> None:
        """End every open line that way, now."""
        raise UnsupportedByBench("drop idle lines")

    def hold(self) -> AbstractContextManager[None]:
        """Inside it, contents are read whole and not answered."""
        raise UnsupportedByBench("hold its answer")

    def held(self) -> int:
        """How many whole contents wait for an answer."""
        raise UnsupportedByBench("say what it holds")

    def stall(self) -> AbstractContextManager[None]:
        """Inside it, the far side stops reading once content begins (for transports that stream)."""
        raise UnsupportedByBench("stop reading")

    def offer_notices(self, offered: bool) -> None:
        """Whether the far side passes on ``Envelope.notify`` (for transports that claim delivery notices)."""
        raise UnsupportedByBench("offer delivery notices")

    def sent_copies(self) -> int:
        """How many messages lie in the Sent folder (for transports whose provider keeps copies)."""
        raise UnsupportedByBench("count sent copies")
