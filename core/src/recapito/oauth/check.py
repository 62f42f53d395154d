"""A check of the way to an API, and of the sign-in there, step by step."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import perf_counter
from typing import TYPE_CHECKING

from recapito.catalogue import problem
from recapito.errors import NotSent, RecapitoError, delivery_error
from recapito.oauth.explain import never_unknown
from recapito.oauth.failure import HttpFailure
from recapito.reply import ServerReply
from recapito.transport import CheckStep

if TYPE_CHECKING:
    from recapito.oauth.api import ApiLine
    from recapito.transport import StepName

__all__ = ["api_steps"]


async def api_steps(line: "ApiLine", url: str, *, deadline: float) -> AsyncGenerator[CheckStep, None]:
    """Name, port, encryption and sign-in, each as it is done, ending at the first problem.

    ``url`` is any address of the API, ``deadline`` on the loop's clock. The connection is kept for the next call
    of ``line``. Where there is a proxy, name and port are the proxy's. "Signed in" means that a token was had; the
    API sees it with the first message.
    """
    trial = _Trial(line, deadline)
    origin, opening = line.http.opening(url)
    open_now = False
    try:
        for name, act in opening.steps:
            yield (step := await trial.step(name, act))
            if step.problem:
                return
        open_now = True
    finally:
        if open_now:
            await line.http.adopt(opening, origin)
        else:
            await opening.abandon()
    yield await trial.step("sign-in", trial.token)


class _Trial:
    def __init__(self, line: "ApiLine", deadline: float) -> None:
        self._line = line
        self._deadline = deadline

    async def token(self) -> str:
        """When a token that was had just now expires."""
        token = await self._line.context.token(self._line.resource)
        return f"{token.expires_at.astimezone():%Y-%m-%d %H:%M}"

    async def step(self, name: "StepName", act: Callable[[], Awaitable[str]]) -> CheckStep:
        started = perf_counter()
        try:
            detail = await self._bounded(name, act)
        except RecapitoError as exc:
            return CheckStep(name, perf_counter() - started, exc.problem)
        return CheckStep(name, perf_counter() - started, detail=detail)

    async def _bounded(self, name: "StepName", act: Callable[[], Awaitable[str]]) -> str:
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                return await act()
        except HttpFailure as exc:
            raise self._failed(exc, name) from exc
        except TimeoutError as exc:
            if not limit.expired():
                raise
            raise NotSent(problem("SEND-TIMEOUT", step=name, host=self._line.host)) from exc

    def _failed(self, failure: HttpFailure, name: "StepName") -> RecapitoError:
        # Unlike at a send, a name that is not found is told as what it most likely is: wrong.
        reply = ServerReply(
            failure.via,
            text=failure.text,
            error=failure.kind,
            step=name,
            host=self._line.host,
            credential="token",
        )
        return delivery_error(never_unknown(self._line.context.explain(reply)))
