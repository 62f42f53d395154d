"""A large attachment leaves as it is read: memory does not grow with it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from gmail_stage import ACCOUNTS, Stage

from recapito_gmail_oauth.google import SEND

MB = 1_000_000
ALLOWED = 16 * MB

SENDER = """
import asyncio, json, sys
from pathlib import Path

from recapito import Message
from recapito.profile import Found, Profile
from recapito.rendering import render
from recapito.testing import TestContext
from recapito_gmail_oauth.transport import Gmail

told = json.loads(sys.stdin.read())
anna = Profile.of("anna", sender=told["sender"], transport="gmail_oauth")


def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


async def send(session, *attachments):
    rendered = render(Message(to=["cliente@example.com"], subject="x", text="x", attachments=attachments), anna)
    deadline = asyncio.get_running_loop().time() + 30
    receipt = await session.deliver(rendered.envelope, rendered.content, deadline=deadline)
    rendered.content.close()
    return receipt.outcome, rendered.content.size


async def main():
    context = TestContext(Found(anna), trust=told["pem"], tokens=[told["token"]])
    context.client = {"api_root": told["url"]}
    session = await Gmail().open(anna, context)
    await send(session, told["small"])
    Path("/proc/self/clear_refs").write_text("5")
    idle = memory("VmRSS")
    outcome, size = await send(session, told["large"])
    peak = memory("VmHWM")
    await session.close()
    print(json.dumps({"outcome": outcome, "size": size, "over": peak - idle}))


asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc")
def test_a_25_mb_attachment_costs_less_than_16_mb(stage: Stage, tmp_path: Path) -> None:
    small, large = tmp_path / "small.bin", tmp_path / "large.bin"
    small.write_bytes(b"x" * 1000)
    large.write_bytes(hashlib.shake_128(b"large").digest(25 * MB))
    told = {
        "sender": ACCOUNTS[0],
        "url": stage.google.url,
        "pem": stage.google.pem,
        "token": stage.google.issue(ACCOUNTS[0], [SEND]),
        "small": str(small),
        "large": str(large),
    }
    run = subprocess.run(
        [sys.executable, "-c", SENDER], input=json.dumps(told), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    asked = stage.google.requests[-1]
    assert found["outcome"] == "accepted"
    assert asked.size == found["size"] > 33 * MB
    assert found["over"] < ALLOWED, f"{found['over'] / MB:.1f} MB over idle"
