"""From a host's name to a connected socket: every address tried, none that the profile may not reach."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, zip_longest
from threading import Thread
from typing import Any, TypeAlias

from recapito.smtp.guard import OPEN_PORTS, is_loopback, is_public
from recapito.smtp.settings import Patience

__all__ = ["Address", "Blocked", "Unreachable", "Unresolved", "connect", "permitted", "resolve"]

#: What finds addresses: blocking, with the arguments and answers of ``socket.getaddrinfo``.
LookUp: TypeAlias = Callable[..., list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a host, as the system's resolver gave it."""

    family: int
    place: tuple[Any, ...]

    @property
    def ip(self) -> str:
        """The numeric address."""
        return str(self.place[0])


class Unresolved(Exception):
    """The name has no address; ``temporary`` where the resolver itself failed."""

    def __init__(self, *, temporary: bool) -> None:
        super().__init__()
        self.temporary = temporary


class Blocked(Exception):
    """The profile may not reach this port, or any of these addresses."""


class Unreachable(Exception):
    """No address took the connection; ``refused`` where at least one said no, else none answered."""

    def __init__(self, *, refused: bool) -> None:
        super().__init__()
        self.refused = refused


async def resolve(
    host: str, port: int, limit: float, *, look_up: LookUp = socket.getaddrinfo
) -> tuple[Address, ...]:
    """The addresses of ``host``, families in turn; Unresolved where there is none within ``limit`` seconds."""
    try:
        async with asyncio.timeout(limit):
            found = await _in_a_thread(look_up, _ascii(host), port)
    except TimeoutError:
        raise Unresolved(temporary=True) from None
    except socket.gaierror as exc:
        missing = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
        raise Unresolved(temporary=exc.errno not in missing) from exc
    except (ValueError, OSError) as exc:
        raise Unresolved(temporary=False) from exc
    addresses = list(dict.fromkeys(Address(family, place) for family, _, _, _, place in found))
    six = [address for address in addresses if address.family == socket.AF_INET6]
    four = [address for address in addresses if address.family != socket.AF_INET6]
    # The resolver's first choice stays first; then the other family has its turn.
    pair = (six, four) if addresses and addresses[0] in six else (four, six)
    return tuple(address for address in chain.from_iterable(zip_longest(*pair)) if address)


def permitted(
    addresses: tuple[Address, ...], port: int, *, trusted: bool, loopback: bool
) -> tuple[Address, ...]:
    """Those that the profile may reach; Blocked where none is left.

    ``trusted`` False: public addresses and mail ports only. ``loopback`` True: this machine only.
    """
    if not trusted and port not in OPEN_PORTS:
        raise Blocked
    left = tuple(
        address
        for address in addresses
        if (trusted or is_public(address.ip)) and (not loopback or is_loopback(address.ip))
    )
    if not left:
        raise Blocked
    return left


async def connect(addresses: tuple[Address, ...], patience: Patience) -> socket.socket:
    """A socket connected to the first address that takes it, of these very addresses; Unreachable otherwise.

    The next one is tried beside a silent one after ``patience.next_address`` (RFC 8305), at once after a refusal.
    """
    left = list(addresses)
    attempts: set[asyncio.Task[socket.socket]] = set()
    refused = False
    try:
        async with asyncio.timeout(patience.port):
            while left or attempts:
                if left:
                    attempts.add(asyncio.create_task(_attempt(left.pop(0))))
                done, attempts = await asyncio.wait(
                    attempts,
                    timeout=patience.next_address if left else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    if task.exception() is None:
                        done.discard(task)
                        attempts |= done
                        return task.result()
                    refused = True
    except TimeoutError:
        pass
    finally:
        await _give_up(attempts)
    raise Unreachable(refused=refused)


async def _in_a_thread(look_up: LookUp, host: str, port: int) -> list[tuple[Any, ...]]:
    """``look_up``, in a thread that may be left behind.

    A resolver can hang for half a minute: asyncio's own pool would be full of such threads, and wait for them
    when the program ends.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

    def settle(found: list[tuple[Any, ...]] | None, failure: Exception | None) -> None:
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(found or [])

    def work() -> None:
        found, failure = None, None
        try:
            found = look_up(host, port, type=socket.SOCK_STREAM)
        except Exception as exc:  # noqa: BLE001 - raised where it is waited for
            failure = exc
        with suppress(RuntimeError):  # the loop has ended meanwhile: nobody waits
            loop.call_soon_threadsafe(settle, found, failure)

    Thread(target=work, name="recapito-dns", daemon=True).start()
    return await answer


async def _attempt(address: Address) -> socket.socket:
    line = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        line.setblocking(False)
        # asyncio sets it only on sockets that it made itself; without it each small write waits 40 ms for an ACK.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(line, address.place)
    except BaseException:
        line.close()
        raise
    return line


async def _give_up(attempts: set[asyncio.Task[socket.socket]]) -> None:
    for task in attempts:
        task.cancel()
    for result in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(result, socket.socket):
            result.close()


def _ascii(host: str) -> str:
    host = host.removesuffix(".")
    if host.isascii():
        return host
    import idna

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as exc:
        raise UnicodeError(str(exc)) from exc
