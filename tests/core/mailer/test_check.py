"""A check shows each step as it is done, and keeps to the mailbox's limits."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from recapito import AsyncMailer, Found, Limits, Mailer, Message, NotFound, NotSent, Profile, Secrets
from recapito.testing import MemoryTransport, SmtpServer, memory_info
from recapito.transport import CheckStep

USERS = {"anna@example.it": "segreto"}


@pytest.mark.parametrize("tls", ["ssl", "starttls"])
def test_steps_of_a_server_that_works(tls: Any, smtp_info: Any, found_at: Any) -> None:
    with SmtpServer(tls=tls, users=USERS) as server:
        with Mailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
            steps = list(mailer.check("anna"))
        done = [step.name for step in steps if not step.skipped]
        order = ["encryption", "answer"] if tls == "ssl" else ["answer", "encryption"]
        assert done[:4] == ["name", "port", *order]
        assert "sign-in" in done
        assert not any(step.problem for step in steps)
        assert [step.name for step in steps if step.skipped][-1] == "message"
        assert server.messages == []


def test_with_an_address_a_message_is_sent_there(smtp_info: Any, found_at: Any) -> None:
    with SmtpServer(tls="plain", users=USERS) as server:
        with Mailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
            steps = list(mailer.check("anna", send_to="anna@example.it"))
        assert steps[-1].name == "message"
        assert not steps[-1].problem
        assert [stored.rcpt_tos for stored in server.messages] == [("anna@example.it",)]


def test_it_ends_at_the_first_problem(smtp_info: Any, found_at: Any) -> None:
    with SmtpServer(tls="plain", users={"anna@example.it": "altra"}) as server:
        found = found_at(server, "anna")
        server.users["anna@example.it"] = "segreto"
        with Mailer({"anna": found}, transports=[smtp_info()]) as mailer:
            steps = list(mailer.check("anna"))
    assert steps[-1].name == "sign-in"
    assert steps[-1].problem is not None
    assert steps[-1].problem.code == "AUTH-FAILED"


def test_a_draft_is_tried_without_being_known(memory: MemoryTransport) -> None:
    draft = Found(Profile.of("carla", sender="carla@example.it", transport="memory"))
    with Mailer({}, transports=[memory_info(memory)]) as mailer:
        assert next(step.name for step in mailer.check("carla", draft=draft)) == "sign-in"
        with pytest.raises(NotFound):
            list(mailer.check("carla"))


@pytest.mark.anyio
async def test_a_check_waits_for_a_permit_like_any_send(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    narrow = anna.with_(limits=Limits(concurrency=1))
    async with AsyncMailer({"anna": narrow}, transports=[memory_info(memory)]) as mailer:
        with memory.hold():
            sending = asyncio.create_task(mailer.send("anna", message))
            while not memory.waiting:  # noqa: ASYNC110 - it counts, it signals nothing
                await asyncio.sleep(0.001)
            with pytest.raises(NotSent):
                await anext(mailer.check("anna", timeout=0.05))
        await sending
        steps = [step.name async for step in mailer.check("anna")]
        assert steps[0] == "sign-in"


@pytest.mark.anyio
async def test_a_check_closes_the_idle_line_where_only_one_is_allowed(
    smtp_info: Any, found_at: Any, message: Message
) -> None:
    with SmtpServer(tls="plain", users=USERS) as server:
        found = found_at(server, "anna")
        narrow = Found(found.profile.with_(limits=Limits(concurrency=1)), found.secrets, "1")
        async with AsyncMailer({"anna": narrow}, transports=[smtp_info()]) as mailer:
            await mailer.send("anna", message)
            steps = [step async for step in mailer.check("anna")]
        assert not any(step.problem for step in steps)
        closing = next(command for command in server.commands if command.verb == "QUIT")
        opening = next(command for command in server.commands if command.connection == 2)
        assert server.commands.index(closing) < server.commands.index(opening)


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_check_that_drags_on_is_ended(kind: str, anna: Profile) -> None:
    class Dragging(MemoryTransport):
        async def check(
            self, profile: Any, context: Any, send_to: str | None = None
        ) -> AsyncGenerator[CheckStep, None]:
            yield CheckStep("name")
            await asyncio.sleep(3600)

    seen: list[CheckStep] = []

    def blocking() -> None:
        with Mailer({"anna": anna}, transports=[memory_info(Dragging())]) as mailer:
            seen.extend(mailer.check("anna", timeout=0.1))

    async def main() -> None:
        async with AsyncMailer({"anna": anna}, transports=[memory_info(Dragging())]) as mailer:
            async for step in mailer.check("anna", timeout=0.1):
                seen.append(step)  # noqa: PERF401 - what came before the end is looked at

    with pytest.raises(NotSent) as caught:
        blocking() if kind == "blocking" else asyncio.run(main())
    assert [step.name for step in seen] == ["name"]
    assert caught.value.problem.code == "OPEN-TIMEOUT"


def test_leaving_a_check_early_frees_its_permit(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    narrow = anna.with_(limits=Limits(concurrency=1))
    with Mailer({"anna": narrow}, transports=[memory_info(memory)]) as mailer:
        for _ in mailer.check("anna"):
            break
        mailer.send("anna", message, timeout=10)


def test_the_secrets_of_a_draft_are_the_ones_that_are_tried() -> None:
    memory = MemoryTransport(passwords={"anna@example.it": "nuova"})
    profile = Profile.of("anna", sender="anna@example.it", transport="memory")
    with Mailer(
        {"anna": Found(profile, Secrets({"password": "vecchia"}))}, transports=[memory_info(memory)]
    ) as mailer:
        assert [step.problem is None for step in mailer.check("anna")] == [False]
        draft = Found(profile, Secrets({"password": "nuova"}))
        assert not any(step.problem for step in mailer.check("anna", draft=draft))
        assert [step.problem is None for step in mailer.check("anna")] == [False]
