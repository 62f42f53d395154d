"""The way of large messages: a draft, its attachments, then "send"; the draft is taken back where that fails."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held, NotSent, Refused
from recapito.oauth import Answer, ApiLine, Streamed
from recapito.secret import Secret
from recapito_ms365_oauth.base64body import streamed_base64
from recapito_ms365_oauth.shape import File, Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from recapito.transport import Context, StepName

__all__ = ["Drafts"]

# Bytes of a file that goes in one request; larger ones have a session of their own (learn: attach large files).
_DIRECT = 3_000_000
#: Bytes of one range: less than 4 MB, and a multiple of 320 KiB as OneDrive's sessions want it.
RANGE = 12 * 320 * 1024
# Seconds for taking a draft back: whoever sent is waiting for an answer.
_DISCARD_LIMIT = 3.0
_JSON = {"Content-Type": "application/json"}


class Drafts:
    """Drafts in one mailbox. ``root`` is the mailbox's address at Graph, ``line`` gives the session's line."""

    def __init__(self, root: str, line: ApiLine, fresh: "Callable[[], ApiLine]", context: "Context") -> None:
        self._root = root
        self._host = urlsplit(root).hostname
        self._line = line
        self._fresh = fresh
        self._context = context

    async def send(self, shape: Shape, headers: dict[str, str], deadline: float) -> Answer:
        """The answer (202) to "send". Raises what :meth:`ApiLine.call` does; only the last step can be *unknown*."""
        # What comes before "send" ends earlier, so that there is time to take the draft back.
        left = deadline - asyncio.get_running_loop().time()
        earlier = deadline - min(_DISCARD_LIMIT, left / 3)
        made = await self._ask("", "POST", shape.draft, {201}, headers, earlier)
        identity = (made.json() or {}).get("id")
        if not isinstance(identity, str) or not identity:
            raise self._strange()
        draft = f"/{quote(identity, safe='')}"
        try:
            for file in shape.files:
                await self._attach(draft, file, earlier)
        except asyncio.CancelledError as exc:
            await self._discard(draft)
            raise NotSent(problem("SEND-CANCELLED", step="message", host=self._host)) from exc
        except BaseException:
            await self._discard(draft)
            raise
        try:
            return await self._line.call(
                "POST", f"{self._root}{draft}/send", accept={202}, headers=headers, deadline=deadline
            )
        except (NotSent, Refused, Held):
            # Where it may have gone the draft stays: one that is still there says that it did not.
            await self._discard(draft)
            raise

    async def _attach(self, draft: str, file: File, deadline: float) -> None:
        if file.size >= _DIRECT:
            await self._upload(await self._upload_uri(draft, file, deadline), file, deadline)
            return
        described = {"@odata.type": "#microsoft.graph.fileAttachment", **file.described}
        head = json.dumps(described, ensure_ascii=False).removesuffix("}") + ', "contentBytes": "'
        body = streamed_base64(file.size, file.chunks, before=head.encode(), after=b'"}')
        await self._ask(f"{draft}/attachments", "POST", body, {201}, {}, deadline)

    async def _upload_uri(self, draft: str, file: File, deadline: float) -> Secret:
        item = {"attachmentType": "file", "size": file.size, **file.described}
        answer = await self._ask(
            f"{draft}/attachments/createUploadSession",
            "POST",
            json.dumps({"AttachmentItem": item}, ensure_ascii=False).encode(),
            {200, 201},
            {},
            deadline,
        )
        uri = Secret(str((answer.json() or {}).get("uploadUrl") or ""))
        if urlsplit(uri.reveal()).scheme != "https":
            raise self._strange()
        return uri

    async def _upload(self, uri: Secret, file: File, deadline: float) -> None:
        """In order, range by range. The address is a secret in itself: no token goes with it."""
        async with aclosing(_ranges(file.chunks(), RANGE)) as ranges:
            async for start, pieces in ranges:
                try:
                    await self._put(uri, file.size, start, pieces, deadline)
                except DeliveryError as exc:
                    # The frames below hold the address.
                    cause = exc.__cause__.with_traceback(None) if exc.__cause__ else None
                    raise exc.with_traceback(None) from cause

    async def _put(self, uri: Secret, size: int, start: int, pieces: list[bytes], deadline: float) -> None:
        end = start + sum(map(len, pieces))
        await self._line.call(
            "PUT",
            uri.reveal(),
            accept={201} if end == size else {200, 202},
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": f"bytes {start}-{end - 1}/{size}",
            },
            body=Streamed(end - start, _again(pieces)),
            deadline=deadline,
            step="sender",
            authorized=False,
        )

    async def _ask(
        self,
        path: str,
        method: str,
        body: bytes | Streamed,
        accept: Collection[int],
        headers: dict[str, str],
        deadline: float,
    ) -> Answer:
        """A request before the message can have left."""
        step: StepName = "sender"
        return await self._line.call(
            method,
            f"{self._root}{path}",
            accept=accept,
            headers={**_JSON, **headers},
            body=body,
            deadline=deadline,
            step=step,
        )

    async def _discard(self, draft: str) -> None:
        """Take the draft back; where that fails too, the log says so."""
        line = self._line if self._line.usable else self._fresh()
        try:
            async with asyncio.timeout(_DISCARD_LIMIT):
                await line.call(
                    "DELETE",
                    f"{self._root}{draft}",
                    accept={204, 404},
                    deadline=asyncio.get_running_loop().time() + _DISCARD_LIMIT,
                    step="sender",
                )
        except (DeliveryError, TimeoutError) as exc:
            code = exc.problem.code if isinstance(exc, DeliveryError) else "timeout"
            self._context.log.warning("a draft that was not sent is left in the mailbox (%s)", code)
        finally:
            if line is not self._line:
                with suppress(DeliveryError):
                    await line.aclose()

    def _strange(self) -> NotSent:
        return NotSent(problem("HTTP-TEMPORARY", step="sender", host=self._host))


async def _ranges(chunks: AsyncIterator[bytes], most: int) -> AsyncGenerator[tuple[int, list[bytes]], None]:
    """Where each range starts, and the pieces of it: ``most`` bytes but for the last."""
    start, size = 0, 0
    pieces: list[bytes] = []
    async for chunk in chunks:
        rest = chunk
        while rest:
            piece, rest = rest[: most - size], rest[most - size :]
            pieces.append(piece)
            size += len(piece)
            if size == most:
                yield start, pieces
                start, size, pieces = start + size, 0, []
    if pieces:
        yield start, pieces


def _again(pieces: list[bytes]) -> "Callable[[], AsyncIterator[bytes]]":
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return chunks
