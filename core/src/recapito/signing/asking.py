"""Asking a sign-in: in bounded time, and whatever it raises comes out as one of our own errors."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from recapito.catalogue import problem
from recapito.client_context import ClientContext, of_client
from recapito.errors import DeliveryError, NotSent, RecapitoError
from recapito.texts import Phrase

__all__ = ["Asking"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks one sign-in of the transport ``shown``, within ``seconds``."""

    context: ClientContext
    shown: Phrase
    operator: str
    seconds: float

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """What ``call`` comes back with. Raises what the contract allows; a fault of the plugin's is NotSent.

        The frames in which an error was raised held a code, a verifier or a secret: they are left behind.
        """
        try:
            async with asyncio.timeout(self.seconds):
                return await call()
        except RecapitoError as exc:
            error = _of_client(exc, self.context.client.info.name).with_traceback(None)
        except TimeoutError:
            error = NotSent(
                problem("OPEN-TIMEOUT", transport=self.shown, seconds=self.seconds, operator=self.operator)
            )
        except (Exception, SystemExit) as exc:
            self.context.log.exception("the sign-in failed")
            error = NotSent(
                problem(
                    "TRANSPORT-CRASHED",
                    outcome=NotSent.outcome,
                    transport=self.shown,
                    error=type(exc).__name__,
                )
            )
        try:
            raise error
        finally:
            del error  # or the error and this frame would keep each other


def _of_client(exc: RecapitoError, name: str) -> RecapitoError:
    """The error, naming the client that it concerns."""
    if not isinstance(exc, DeliveryError):
        return exc
    found = of_client(exc.problem, name)
    return exc if found is exc.problem else type(exc)(found)
