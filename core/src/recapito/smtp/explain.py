"""From what went wrong on a line to the problem behind it, by the catalogue's rules."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recapito.catalogue import problem
from recapito.errors import DeliveryError, delivery_error
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.reply import Credential, ServerReply
from recapito.smtp.channel import LineFailure, NoAnswer, Spoiled
from recapito.smtp.reply import Reply

if TYPE_CHECKING:
    from recapito.profile import Profile
    from recapito.smtp.settings import SmtpSettings
    from recapito.transport import Context, StepName

__all__ = ["Explainer"]

_OPENING = ("name", "port", "encryption", "answer")


@dataclass(frozen=True, slots=True)
class Explainer:
    """Says what is behind each reply and failure on one profile's line; ``account`` is who signs in."""

    context: "Context"
    profile: "Profile"
    settings: "SmtpSettings"
    credential: Credential = "none"
    account: str = ""

    def reply(self, reply: Reply, step: "StepName", **facts: Any) -> Problem:
        """The problem behind a reply; ``facts`` are more fields of :class:`ServerReply`."""
        found = self._found(
            ServerReply(
                "smtp",
                reply.status,
                reply.text,
                reply.enhanced,
                step=step,
                credential=self.credential,
                **self._place(),
                **facts,
            ),
            step,
        )
        return found.with_(reply=str(reply))

    def net(self, error: str, step: "StepName", **params: str | float) -> Problem:
        """The problem behind a failure of the network (:class:`ServerReply` lists the errors)."""
        return self._found(ServerReply("net", error=error, step=step, params=params, **self._place()), step)

    def tls(self, error: str, text: str = "", **params: str | float) -> Problem:
        """The problem behind a failure to encrypt."""
        step: StepName = "encryption"
        return self._found(
            ServerReply("tls", text=text, error=error, step=step, params=params, **self._place()), step
        )

    def line(self, failure: "LineFailure | TimeoutError", step: "StepName") -> Problem:
        """The problem behind the end of the line at ``step``."""
        said = failure.reply if isinstance(failure, LineFailure) else None
        if said is not None and said.negative:
            return self.reply(said, step)
        if isinstance(failure, Spoiled):
            return self.own("REPLY-STRANGE", step=step, reply=str(said or failure.detail))
        if not isinstance(failure, (NoAnswer, TimeoutError)):
            return self.net("lost", step)
        return self.net("timeout", step) if step in _OPENING else self.own("SERVER-SILENT", step=step)

    def own(self, code: str, *, step: "StepName | None" = None, **params: Any) -> Problem:
        """The problem of one of our own codes, with host and port."""
        return problem(code, step=step, host=self.settings.host, port=self.settings.port, **params)

    def error(self, found: Problem) -> DeliveryError:
        """The error to raise before any content left: never *unknown*."""
        if found.outcome in (Outcome.UNKNOWN, Outcome.ACCEPTED):
            found = found.with_(outcome=Outcome.NOT_SENT)
        return delivery_error(found)

    def _place(self) -> dict[str, Any]:
        return {"host": self.settings.host, "port": self.settings.port, "account": self.account}

    def _found(self, reply: ServerReply, step: "StepName") -> Problem:
        found = self.context.explain(reply)
        return found.with_(step=found.step or step, host=found.host or self.settings.host)
