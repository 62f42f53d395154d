"""Which loop a mailer belongs to, and how programs end."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest

from recapito import AsyncMailer, Mailer, Message, Misconfigured, Profile
from recapito.testing import MemoryTransport, memory_info


def test_an_async_mailer_on_a_second_loop_says_so(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    mailer = AsyncMailer({"anna": anna}, transports=[memory_info(memory)])
    asyncio.run(mailer.send("anna", message))
    with pytest.raises(Misconfigured) as caught:
        asyncio.run(mailer.send("anna", message))
    assert caught.value.problem.code == "LOOP-OTHER"
    asyncio.run(mailer.close())
    assert len(memory.sent) == 1


def test_a_mailer_works_from_loop_after_loop_and_from_any_thread(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    async def main() -> None:
        await asyncio.to_thread(mailer.send, "anna", message)
        mailer.send("anna", message)

    with Mailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        asyncio.run(main())
        asyncio.run(main())
        threads = [threading.Thread(target=mailer.send, args=("anna", message)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(memory.sent) == 12


def test_no_loop_is_started_before_the_first_send(memory: MemoryTransport, anna: Profile) -> None:
    before = threading.active_count()
    with Mailer({"anna": anna}, transports=[memory_info(memory)]):
        assert threading.active_count() <= before  # one of an earlier test may just be ending


def test_closing_ends_the_loops_thread(memory: MemoryTransport, anna: Profile, message: Message) -> None:
    with Mailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        mailer.send("anna", message)
        assert "recapito-loop" in {thread.name for thread in threading.enumerate()}
    assert "recapito-loop" not in {thread.name for thread in threading.enumerate()}


def run(code: str, *, seconds: float = 20) -> "subprocess.CompletedProcess[str]":
    head = """
    import threading, time
    from recapito import *
    from recapito.testing import MemoryTransport, memory_info
    memory = MemoryTransport()
    anna = Profile.of("anna", sender="anna@example.it", transport="memory")
    message = Message(to=["a@example.com"], text="x")
    """
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(head) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_a_program_that_forgets_to_close_ends_by_itself() -> None:
    done = run("""
    mailer = Mailer({"anna": anna}, transports=[memory_info(memory)])
    mailer.send("anna", message)
    def goodbye(close=memory.sessions[0].close):
        print("closed")
        return close()
    memory.sessions[0].close = goodbye
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")


@pytest.mark.parametrize(
    "hanging",
    [
        "def in_hook(**_): time.sleep(3600)",
        "memory._held = True",
    ],
    ids=["a hook", "a server"],
)
def test_a_program_ends_though_a_send_hangs(hanging: str) -> None:
    done = run(f"""
    {hanging}
    class Hooks:
        @hookimpl
        def recapito_prepare_message(self):
            if "in_hook" in globals():
                in_hook()

    mailer = Mailer({{"anna": anna}}, hooks=[Hooks()], transports=[memory_info(memory)])
    threading.Thread(target=lambda: mailer.send("anna", message), daemon=True).start()
    time.sleep(0.3)
    print("end")
    """)
    assert done.returncode == 0
    assert done.stdout == "end\n"


def test_a_program_ends_though_a_blocking_library_hangs_in_a_thread() -> None:
    done = run("""
    class Blocking(MemoryTransport):
        async def open(self, profile, context):
            await context.in_thread(time.sleep, 3600)

    mailer = Mailer({"anna": anna}, transports=[memory_info(Blocking())])
    print(mailer.send("anna", message, timeout=0.2, check=False).outcome)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "not_sent\n", "")


def test_a_forgotten_mailers_thread_ends_with_it(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    import gc

    mailer = Mailer({"anna": anna}, transports=[memory_info(memory)])
    mailer.send("anna", message)
    (thread,) = [each for each in threading.enumerate() if each.name == "recapito-loop"]
    del mailer
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.anyio
async def test_sends_of_one_loop_run_side_by_side(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    async with AsyncMailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        with memory.hold():
            sending = [asyncio.create_task(mailer.send("anna", message)) for _ in range(5)]
            while memory.waiting < 5:  # noqa: ASYNC110 - it counts, it signals nothing
                await asyncio.sleep(0.001)
        receipts: list[Any] = await asyncio.gather(*sending)
    assert len({receipt.message_id for receipt in receipts}) == 5
