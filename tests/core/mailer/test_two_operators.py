"""Two operators' jobs in one worker cannot mix."""

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from recapito import AsyncMailer, Found, Limits, Mailer, Message, Profile, Secrets
from recapito.testing import MemoryTransport, SmtpServer, memory_info

OPERATORS = ("anna", "bruno")


@pytest.fixture
def servers() -> Iterator[dict[str, SmtpServer]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                SmtpServer(tls="plain", users={f"{name}@example.it": f"password of {name}"})
            )
            for name in OPERATORS
        }


def message_of(operator: str, number: int) -> Message:
    return Message(
        to=[f"cliente-of-{operator}@example.com"], subject=f"{operator} {number}", text=f"from {operator}"
    )


def check_nothing_mixed(servers: dict[str, SmtpServer], count: int) -> None:
    for operator, server in servers.items():
        assert len(server.messages) == count
        for stored in server.messages:
            assert stored.user == f"{operator}@example.it"
            assert stored.envelope_from == f"{operator}@example.it"
            assert stored.rcpt_tos == (f"cliente-of-{operator}@example.com",)
            assert stored.message["From"] == f"{operator}@example.it"
            assert stored.message["Subject"].split()[0] == operator
        assert {int(stored.message["Subject"].split()[1]) for stored in server.messages} == set(range(count))


@pytest.mark.anyio
async def test_many_sends_at_once_on_one_loop(
    servers: dict[str, SmtpServer], smtp_info: Any, found_at: Any
) -> None:
    profiles = {name: found_at(server, name) for name, server in servers.items()}
    jobs = [(name, number) for name in OPERATORS for number in range(60)]
    random.shuffle(jobs)
    gate = asyncio.Semaphore(16)
    async with AsyncMailer(profiles, transports=[smtp_info()]) as mailer:

        async def send(operator: str, number: int) -> None:
            async with gate:
                receipt = await mailer.send(operator, message_of(operator, number))
                assert receipt.profile is not None
                assert receipt.profile.operator == operator

        await asyncio.gather(*(send(*job) for job in jobs))
    check_nothing_mixed(servers, 60)


def test_many_sends_from_many_threads(servers: dict[str, SmtpServer], smtp_info: Any, found_at: Any) -> None:
    profiles = {name: found_at(server, name) for name, server in servers.items()}
    jobs = [(name, number) for name in OPERATORS for number in range(40)]
    random.shuffle(jobs)
    with Mailer(profiles, transports=[smtp_info()]) as mailer, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda job: mailer.send(job[0], message_of(*job)), jobs))
    check_nothing_mixed(servers, 40)


@pytest.mark.anyio
async def test_operators_of_one_mailbox_still_sign_in_each_with_their_own() -> None:
    memory = MemoryTransport(passwords={"anna": "a", "bruno": "b"})
    profiles = {
        name: Found(
            Profile.of(
                name, sender="ufficio@example.it", transport="memory", settings={"account": name},
                limits=Limits(concurrency=1),
            ),
            Secrets({"password": name[0]}),
        )
        for name in OPERATORS
    }  # fmt: skip
    async with AsyncMailer(profiles, transports=[memory_info(memory)]) as mailer:
        await asyncio.gather(
            *(mailer.send(name, message_of(name, number)) for number in range(10) for name in OPERATORS)
        )
    assert {(row.profile.operator, row.account) for row in memory.sent} == {
        ("anna", "anna"),
        ("bruno", "bruno"),
    }
    for row in memory.sent:
        assert row.envelope.recipients == (f"cliente-of-{row.account}@example.com",)


@pytest.mark.anyio
async def test_a_deep_session_carries_several_messages_of_its_own_operator_at_once() -> None:
    memory = MemoryTransport(depth=3)
    profiles = {name: Profile.of(name, sender=f"{name}@example.it", transport="memory") for name in OPERATORS}
    async with AsyncMailer(profiles, transports=[memory_info(memory)]) as mailer:
        for name in OPERATORS:
            await mailer.send(name, message_of(name, 0))
        assert len(memory.sessions) == 2
        with memory.hold():
            sending = [
                asyncio.create_task(mailer.send(name, message_of(name, number)))
                for number in range(1, 4)
                for name in OPERATORS
            ]
            while memory.waiting < 6:  # noqa: ASYNC110 - it counts, it signals nothing
                await asyncio.sleep(0.001)
        await asyncio.gather(*sending)
        assert len(memory.sessions) == 2, "three at once went through one session of each"
    for row in memory.sent:
        assert row.envelope.sender == f"{row.profile.operator}@example.it"
        assert f"from {row.profile.operator}".encode() in row.content
