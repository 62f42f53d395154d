"""From what went wrong on a line to the problem behind it, by the catalogue's rules."""

from typing import TYPE_CHECKING, Any

from recapito.catalogue import problem
from recapito.errors import DeliveryError, delivery_error
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.redaction import Mask
from recapito.reply import Credential, ServerReply
from recapito.smtp.channel import LineFailure, NoAnswer, Spoiled
from recapito.smtp.reply import Reply

if TYPE_CHECKING:
    from recapito.profile import Profile
    from recapito.secret import Secret
    from recapito.smtp.auth import Authenticate
    from recapito.smtp.settings import SmtpSettings
    from recapito.transport import Context, StepName

__all__ = ["Explainer"]

_OPENING = ("name", "port", "encryption", "answer")
#: Characters of a secret that is masked: a shorter one is part of any text.
_SHORTEST = 4
#: Characters that are shown of what is no reply.
_GARBAGE = 80


class Explainer:
    """Says what is behind each reply and failure on one profile's line.

    What it explains and shows holds no secret, should the server repeat one.
    """

    def __init__(
        self,
        context: "Context",
        profile: "Profile",
        settings: "SmtpSettings",
        authenticate: "Authenticate | None" = None,
    ) -> None:
        self.context = context
        self.profile = profile
        self.settings = settings
        self._authenticate = authenticate
        self._credential: Credential = authenticate.credential if authenticate else "none"
        self._account = authenticate.account if authenticate else ""
        self._masked: tuple[Secret, ...] = ()
        self._mask = Mask(())

    def shown(self, said: Reply | str) -> str:
        """``said`` by the server, as it may be kept and shown: passwords and tokens are asterisks."""
        used = self._authenticate.secrets if self._authenticate else ()
        secrets = (*used, *self.context.secrets.values())
        if not secrets:
            return str(said)
        if self._masked != secrets:  # first, and when a token was renewed
            long = (secret for secret in secrets if len(secret.reveal()) >= _SHORTEST)
            self._masked, self._mask = secrets, Mask(long, self._account)
        return self._mask(str(said))

    def reply(self, reply: Reply, step: "StepName", **facts: Any) -> Problem:
        """The problem behind a reply; ``facts`` are more fields of :class:`ServerReply`."""
        # The rules read the server's own words: with the password "password", "wrong password" must still say so.
        found = self._found(
            ServerReply(
                "smtp",
                reply.status,
                reply.text,
                reply.enhanced,
                step=step,
                credential=self._credential,
                **self._place(),
                **facts,
            ),
            step,
        )
        words = str(reply)
        if (shown := self.shown(words)) != words:
            params = {
                name: self.shown(value) if isinstance(value, str) else value
                for name, value in found.params.items()
            }
            found = found.with_(params=params)
        return found.with_(reply=shown)

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
            return self.own("REPLY-STRANGE", step=step, reply=said or self.shown(failure.detail)[:_GARBAGE])
        if not isinstance(failure, (NoAnswer, TimeoutError)):
            return self.net("lost", step)
        return self.net("timeout", step) if step in _OPENING else self.own("SERVER-SILENT", step=step)

    def own(
        self, code: str, *, step: "StepName | None" = None, reply: Reply | str | None = None, **params: Any
    ) -> Problem:
        """The problem of one of our own codes, with host and port."""
        said = None if reply is None else self.shown(reply)
        host, port = self.settings.host, self.settings.port
        return problem(code, step=step, host=host, port=port, reply=said, **params)

    def error(self, found: Problem) -> DeliveryError:
        """The error to raise before any content left: never *unknown*."""
        if found.outcome in (Outcome.UNKNOWN, Outcome.ACCEPTED):
            found = found.with_(outcome=Outcome.NOT_SENT)
        return delivery_error(found)

    def _place(self) -> dict[str, Any]:
        return {"host": self.settings.host, "port": self.settings.port, "account": self._account}

    def _found(self, reply: ServerReply, step: "StepName") -> Problem:
        found = self.context.explain(reply)
        return found.with_(step=found.step or step, host=found.host or self.settings.host)
