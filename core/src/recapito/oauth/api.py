"""What the session of a transport holds that sends over an API: one kept connection, signed in by tokens."""

import asyncio
import ssl
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from recapito.catalogue import problem
from recapito.errors import DeliveryError, NotSent, UnknownOutcome, delivery_error
from recapito.oauth.answer import Answer
from recapito.oauth.body import Body, Outgoing
from recapito.oauth.explain import masked, never_unknown, of_failure
from recapito.oauth.failure import HttpFailure
from recapito.oauth.http import Http
from recapito.oauth.vendor import error_key, error_text
from recapito.problem import Problem
from recapito.reply import ServerReply
from recapito.secret import Secret

if TYPE_CHECKING:
    from recapito.signin import Token
    from recapito.transport import Context, StepName

__all__ = ["ApiLine"]

_UNAUTHORIZED = 401
_BUSY = 503


class ApiLine:
    """Calls of one API, one after the other. Make it where it is used: it belongs to that loop.

    ``resource`` is what tokens are asked for, ``host`` names the API in problems and to the catalogue's rules,
    ``account`` is who signs in. Nothing is connected, and no token asked for, before the first call.
    """

    def __init__(
        self,
        context: "Context",
        resource: str,
        *,
        tls: ssl.SSLContext,
        host: str,
        account: str = "",
        proxy: str | None = None,
    ) -> None:
        self.context = context
        self.resource = resource
        self.host = host
        self.http = Http(tls, proxy=proxy)
        self._account = account
        self._usable = True

    @property
    def usable(self) -> bool:
        """False once it is closed, or a call ended without an answer."""
        return self._usable

    async def call(
        self,
        method: str,
        url: str,
        *,
        accept: Container[int],
        headers: Mapping[str, str | Secret] | None = None,
        body: Body = b"",
        deadline: float,
        step: "StepName" = "message",
        authorized: bool = True,
    ) -> Answer:
        """The answer, where its status is one of ``accept`` and the whole request had left before it came.

        ``deadline`` is on the loop's clock, for everything. A 401 has the token refreshed once, and the call made
        once more. Anything else raises what design §2 makes of it. With ``step="message"`` the message itself is
        what leaves: no answer after its last byte, 500, 502, 504, 503 without Retry-After, a redirect and a 2xx
        that is not accepted are UnknownOutcome; at any other step they are NotSent. A failure before the last
        byte is NotSent. ``authorized=False`` sends no token: for an address that is a secret in itself.
        """
        token = await self._token(deadline, step) if authorized else None
        answer = await self._asked(method, url, headers, body, deadline, step, token)
        used = [token.value] if token else []
        if answer.status == _UNAUTHORIZED and token is not None and _UNAUTHORIZED not in accept:
            fresh = await self._token(deadline, step, refused=token)
            if fresh.value != token.value:
                used.append(fresh.value)
                answer = await self._asked(method, url, headers, body, deadline, step, fresh)
        if answer.status in accept and answer.complete:
            return answer
        raise self._refused(answer, step, used)

    async def aclose(self) -> None:
        """Close the connection; never raises."""
        self._usable = False
        await self.http.aclose()

    def abandon(self) -> None:
        """Close the descriptor without a byte, in a forked child."""
        self._usable = False
        self.http.abandon()

    async def _token(self, deadline: float, step: "StepName", refused: "Token | None" = None) -> "Token":
        try:
            async with asyncio.timeout_at(deadline) as limit:
                return await self.context.token(self.resource, refused=refused)
        except TimeoutError as exc:
            if not limit.expired():
                raise
            raise NotSent(problem("SEND-TIMEOUT", step=step, host=self.host)) from exc
        except asyncio.CancelledError as exc:
            raise NotSent(problem("SEND-CANCELLED", step=step, host=self.host)) from exc

    async def _asked(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str | Secret] | None,
        body: Body,
        deadline: float,
        step: "StepName",
        token: "Token | None",
    ) -> Answer:
        outgoing = Outgoing(body)
        signed = {} if token is None else {"Authorization": Secret(f"Bearer {token.value.reveal()}")}
        usable, self._usable = self._usable, False
        try:
            answer = await self.http.request(
                method,
                url,
                headers={**(headers or {}), **signed},
                content=outgoing,
                deadline_in=deadline - asyncio.get_running_loop().time(),
            )
        except HttpFailure as exc:
            raise self._failed(exc, step) from exc
        except asyncio.CancelledError:
            if outgoing.sent and step == "message":
                raise
            raise NotSent(problem("SEND-CANCELLED", step=step, host=self.host)) from None
        self._usable = usable
        return answer

    def _failed(self, failure: HttpFailure, step: "StepName") -> DeliveryError:
        if failure.sent and step == "message":
            return UnknownOutcome(problem("HTTP-UNKNOWN", step=step, host=self.host))
        if failure.kind == "timeout" and not failure.step:
            return NotSent(problem("SEND-TIMEOUT", step=step, host=self.host))
        if failure.via == "http":
            return NotSent(problem("HTTP-TEMPORARY", step=step, host=self.host))
        return delivery_error(never_unknown(of_failure(self.context, failure, self.host, step)))

    def _refused(self, answer: Answer, step: "StepName", used: list[Secret]) -> DeliveryError:
        mask = masked(used, self.context.secrets.values())
        words = mask(error_text(answer))
        found = self.context.explain(
            ServerReply(
                "http",
                answer.status,
                words,
                error=mask(error_key(answer)),
                step=step,
                host=self.host,
                credential="token" if used else "none",
                account=self._account,
                retry_after=answer.retry_after,
            )
        )
        if _answers(answer):
            return delivery_error(never_unknown(found))
        return self._open(found, words, step)

    def _open(self, found: Problem, words: str, step: "StepName") -> DeliveryError:
        """A status that does not say what became of it, whatever the words are."""
        if step != "message":
            temporary = problem("HTTP-TEMPORARY", step=step, host=self.host, reply=words)
            return NotSent(temporary.with_(retry_at=found.retry_at))
        return UnknownOutcome(problem("HTTP-UNKNOWN", step=step, host=self.host, reply=words))


def _answers(answer: Answer) -> bool:
    """Whether the status says that nothing was accepted: any 4xx, and a 503 that names a time to come back."""
    return 400 <= answer.status < 500 or (answer.status == _BUSY and answer.retry_after is not None)
