"""A raw server on loopback that plays a script: for every reply that a good server never gives."""

import asyncio
import ssl
from typing import Self

from recapito.testing.script import Answer, Conversation, LineEnded, play
from recapito.testing.serving import LoopThread

__all__ = ["ScriptServer"]


class ScriptServer(LoopThread):
    """The nth connection plays the nth of ``scripts``, the last one every further connection.

    A script is a step of :mod:`recapito.testing.script` or a list of steps and texts (replies); when it ends,
    the line is closed. ``tls`` encrypts from the first byte. ``conversations`` has what each client sent,
    ``heard`` all of it, ``faults`` what did not go as scripted. A context manager, as :class:`SmtpServer`::

        with ScriptServer(["220 hello", hear("EHLO"), flood(b"250-x\\r\\n")]) as server: ...
        with ScriptServer(polite(RCPT="550 5.1.1 unknown", content=reset)) as server: ...
    """

    def __init__(
        self, *scripts: Answer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__("script")
        if not scripts:
            raise ValueError("a ScriptServer plays at least one script")
        self.scripts = scripts
        self.tls = tls
        self.host = host
        self.port = port
        self.conversations: list[Conversation] = []

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return len(self.conversations)

    @property
    def heard(self) -> bytes:
        """Every byte of every client, one connection after the other."""
        return b"".join(bytes(line.heard) for line in self.conversations)

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.run(self._listen())
        except BaseException:
            super().__exit__()
            raise
        return self

    async def _listen(self) -> None:
        self.port = await self.listen(self._dial, self.host, self.port, self.tls)

    def _dial(self) -> Conversation:
        return Conversation(self._play)

    async def _play(self, line: Conversation) -> None:
        self.conversations.append(line)
        script = self.scripts[min(len(self.conversations), len(self.scripts)) - 1]
        try:
            await play(script, line)
        except (LineEnded, OSError):
            pass
        except asyncio.CancelledError:
            line.transport.abort()
        finally:
            self.faults += line.faults
            line.transport.close()
