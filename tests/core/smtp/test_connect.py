"""From a name to a socket: every address is tried, and none but those that were checked."""

import socket
import time

import pytest

from recapito.errors import Held, NotSent
from recapito.smtp import Patience
from recapito.smtp.connect import Address, Unreachable, Unresolved, connect, resolve
from recapito.testing import ScriptServer, SmtpServer
from recapito.testing.script import polite

pytestmark = pytest.mark.anyio


def refusing() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return Address(socket.AF_INET, gone.getsockname())


async def test_a_name_that_does_not_exist_is_not_resolved() -> None:
    for name in ("nowhere.invalid", "x" * 64 + ".example", "a..b", "nul\0here", "è" * 80):
        with pytest.raises(Unresolved):
            await resolve(name, 465, 5)


async def test_numeric_hosts_in_every_spelling_resolve_to_what_they_are() -> None:
    for name in ("127.0.0.1", "127.1", "0x7f.0.0.1", "2130706433", "localhost."):
        assert "127.0.0.1" in [address.ip for address in await resolve(name, 25, 5)]


async def test_the_next_address_is_tried_after_a_refusal() -> None:
    with ScriptServer(polite()) as server:
        good = Address(socket.AF_INET, ("127.0.0.1", server.port))
        line = await connect((refusing(), refusing(), good), Patience())
        assert line.getpeername() == good.place
        line.close()


async def test_the_next_address_is_tried_beside_a_silent_one() -> None:
    # A listener whose queue is full answers nothing: as a firewall that drops.
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(0)
    waiting = [socket.socket() for _ in range(3)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(silent.getsockname())
    with ScriptServer(polite()) as server:
        addresses = (
            Address(socket.AF_INET, silent.getsockname()),
            Address(socket.AF_INET, ("127.0.0.1", server.port)),
        )
        line = await connect(addresses, Patience(port=20, next_address=0.05))
        assert line.getpeername()[1] == server.port
        line.close()
    with pytest.raises(Unreachable) as caught:
        await connect(addresses[:1], Patience(port=0.2))
    assert not caught.value.refused
    for each in (*waiting, silent):
        each.close()


async def test_nobody_there_is_told_as_refused(desk) -> None:
    with pytest.raises(Unreachable) as caught:
        await connect((refusing(), refusing()), Patience())
    assert caught.value.refused
    with ScriptServer(polite()) as server:
        pass
    error = await desk.refusal(server, "ssl")
    assert isinstance(error, NotSent)
    assert error.problem.code == "NET-BLOCKED"
    assert error.problem.params["port"] == server.port


async def test_small_writes_do_not_wait_for_the_other_side(desk) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            line = session._channel.info("socket")
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_host_that_does_not_exist_is_told(desk) -> None:
    with ScriptServer(polite()) as server:
        error = await desk.refusal(server, "ssl", host="smtp.nowhere.invalid")
    assert error.problem.code == "NET-DNS"
    assert error.problem.step == "name"


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "::1", "0.0.0.0", "169.254.1.1"]
)
async def test_a_host_that_an_operator_typed_never_leads_inside(desk, host: str) -> None:
    desk.profile = desk.profile.with_(trusted_host=False)
    with SmtpServer(tls="ssl", authority=desk.authority, users={"anna@example.it": desk.password}) as server:
        error = await desk.refusal(server, "ssl", host=host, port=465)
        assert error.problem.code == "NET-PRIVATE"
        error = await desk.refusal(server, "ssl", host=host)
        assert error.problem.code == "NET-PRIVATE"
        steps = await desk.check(server, "ssl", host=host)
        assert [step.problem.code for step in steps if step.problem] == ["NET-PRIVATE"]
        assert server.connections == 0


async def test_open_closed_and_filtered_ports_inside_look_the_same(desk) -> None:
    desk.profile = desk.profile.with_(trusted_host=False)
    seen = []
    with SmtpServer(tls="ssl", authority=desk.authority) as server:
        for host, port in (("localhost", server.port), ("localhost", 1), ("10.255.255.1", 465)):
            problem = (await desk.refusal(server, "ssl", host=host, port=port)).problem
            seen.append((problem.code, problem.step, set(problem.params)))
    assert len(set(map(str, seen))) == 1


async def test_plain_text_goes_to_this_machine_only(desk) -> None:
    with ScriptServer(polite()) as server:
        error = await desk.refusal(server, "plain", host="192.0.2.1", port=25)
        assert isinstance(error, Held)
        assert error.problem.code == "PLAIN-TEXT-REFUSED"
        async with desk.open(server, "plain", signs_in=True) as session:
            assert (await desk.send(session)).accepted


async def test_a_resolver_that_hangs_is_left_behind() -> None:
    def hanging(*_: object, **__: object) -> list[tuple[object, ...]]:
        time.sleep(1)
        return []

    with pytest.raises(Unresolved) as caught:
        await resolve("mail.example.it", 465, 0.05, look_up=hanging)
    assert caught.value.temporary
