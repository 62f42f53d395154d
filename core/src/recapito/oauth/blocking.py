"""Requests for SDKs that block: made in a worker thread, sent on the loop."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as Late

from recapito.oauth.answer import Answer
from recapito.oauth.body import Body
from recapito.oauth.failure import HttpFailure
from recapito.oauth.http import Http
from recapito.secret import Secret

__all__ = ["BlockingHttp"]

# Seconds that the loop may be late with a failure that it knows of.
_GRACE = 2.0


class BlockingHttp:
    """``http``, for a thread. Make it on the loop; ``patience`` is in seconds, for all of its requests together.

    Whatever the SDK's own protocol is (msal's ``http_client``, google-auth's ``Request``) is an adapter in the
    plugin, around :meth:`request`.
    """

    def __init__(self, http: Http, patience: float) -> None:
        self._http = http
        self._loop = asyncio.get_running_loop()
        self._ends = self._loop.time() + patience

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str | Secret] | None = None,
        body: Body = b"",
    ) -> Answer:
        """As :meth:`Http.request`; HttpFailure too where the loop has ended, or the time is over."""
        left = self._ends - self._loop.time()
        if left <= 0:
            raise HttpFailure("timeout")
        asking = self._http.request(method, url, headers=headers, content=body, deadline_in=left)
        headers, body = None, b""
        try:
            waiting = self._http.hand_over(asking, self._loop)
        except RuntimeError:
            asking.close()
            raise HttpFailure("lost", text="the loop has ended") from None
        try:
            return waiting.result(left + _GRACE)
        except (Late, CancelledError):
            waiting.cancel()
            # The loop stands still, or whoever began this has given it up: nobody can say how far it came.
            raise HttpFailure("timeout", sent=True) from None
