"""The person's browser: opened without waiting for it, and listened to on this machine."""

import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Self

__all__ = ["Listening", "opened_in_browser"]

#: Seconds that the page may take to be written when all is over.
_ENDING = 2.0


def opened_in_browser(url: str) -> "Future[bool]":
    """Open ``url`` in the system's browser; False where there is none. Done late where it runs in this terminal."""
    import webbrowser

    opened: Future[bool] = Future()

    def open_it() -> None:
        try:
            opened.set_result(webbrowser.open(url))
        except (webbrowser.Error, OSError):
            opened.set_result(False)

    # A daemon: a browser that stays in the foreground must not keep the command from ending.
    threading.Thread(target=open_it, name="recapito-browser", daemon=True).start()
    return opened


class Listening:
    """A :class:`recapito.oauth.loopback.Loopback` for a caller without a loop, as a context manager.

    What waits for its answer is this thread, which Ctrl-C reaches.
    """

    def __init__(self, template: str, port: int | None, language: str) -> None:
        from recapito.oauth.loopback import Loopback
        from recapito.private_loop import PrivateLoop

        self._loopback = Loopback(template, port, language=language)
        self._loop = PrivateLoop()

    @property
    def redirect_uri(self) -> str:
        """Where the browser comes back to."""
        return self._loopback.redirect_uri

    def answer(self, state: str) -> "Future[dict[str, str]]":
        """The query that the browser will bring for that sign-in."""
        return self._loop.submit(lambda: self._loopback.answer(state))

    def judge(self, error: str = "") -> None:
        """Say on the page how it went."""
        self._loop.call(self._loopback.judge, error)

    def __enter__(self) -> Self:
        try:
            self._loop.submit(self._loopback.__aenter__).result()
        except BaseException:
            self._loop.stop(_ENDING)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.submit(lambda: self._loopback.__aexit__(kind, exc, trace)).result(_ENDING)
        finally:
            self._loop.stop(_ENDING)
