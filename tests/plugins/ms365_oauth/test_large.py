"""Messages above 2 MB: drafts, attachments and upload sessions, and nothing left behind where they fail."""

import asyncio
import hashlib
import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from recapito.errors import DeliveryError, Held, NotSent, Refused, UnknownOutcome
from recapito.message import Message
from recapito.outcome import Outcome
from recapito.rendering import render
from recapito_ms365_oauth.draft import RANGE
from recapito_ms365_oauth.plugin import INFO

pytestmark = pytest.mark.anyio


@pytest.fixture
def large(registered):
    registered.with_(large_attachments=True)
    return registered


def files(folder: Path, **sizes: int) -> list[Path]:
    made = []
    for name, size in sizes.items():
        (folder / f"{name}.pdf").write_bytes(os.urandom(size))
        made.append(folder / f"{name}.pdf")
    return made


def mail(*attachments: Path, **more) -> Message:
    return Message(
        to=["b@example.com"], subject="Fatture", text="In allegato.", attachments=attachments, **more
    )


async def send(stage, message: Message, *, seconds: float = 30.0, context=None):
    session = await INFO.factory().open(stage.profile, context or stage.session_context())
    rendered = render(message, stage.profile)
    try:
        deadline = asyncio.get_running_loop().time() + seconds
        return await session.deliver(rendered.envelope, rendered.content, deadline=deadline)
    finally:
        rendered.content.close()
        await session.close()


def steps(microsoft) -> list[str]:
    """What was asked of Graph, without the ids."""
    asked = [each for each in microsoft.requests if not each.path.endswith("/token")]
    names = [each.path.rpartition("/")[2] for each in asked]
    return [
        "PUT" if each.method == "PUT" else "DELETE" if each.method == "DELETE" else name
        for each, name in zip(asked, names, strict=True)
    ]


async def test_files_arrive_whole_and_each_by_its_way(microsoft, large, tmp_path) -> None:
    paths = files(tmp_path, small=1_000, middle=2_999_999, big=3_000_000, huge=RANGE * 2 + 5)
    receipt = await send(large, mail(*paths, bcc=["c@example.com"]))
    assert receipt.outcome is Outcome.ACCEPTED
    assert len(receipt.provider_id) == 36
    [draft] = microsoft.graph.sent_drafts
    assert [(each.name, each.content_type) for each in draft.attachments] == [
        (path.name, "application/pdf") for path in paths
    ]
    assert [each.sha256 for each in draft.attachments] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    ]
    assert draft.message["bccRecipients"] == [{"emailAddress": {"address": "c@example.com"}}]
    assert draft.message["internetMessageId"] == receipt.message_id
    expected = ["messages", "attachments", "attachments", "createUploadSession", "PUT"]
    assert steps(microsoft) == [*expected, "createUploadSession", "PUT", "PUT", "PUT", "send"]
    assert microsoft.drafts == []
    assert microsoft.connections <= 3, "one for tokens, one for Graph, and one where the upload is elsewhere"


async def test_ranges_come_in_order_without_a_token(microsoft, large, tmp_path) -> None:
    await send(large, mail(*files(tmp_path, huge=RANGE + 1)))
    puts = [asked for asked in microsoft.requests if asked.method == "PUT"]
    assert [asked.headers["content-range"] for asked in puts] == [
        f"bytes 0-{RANGE - 1}/{RANGE + 1}",
        f"bytes {RANGE}-{RANGE}/{RANGE + 1}",
    ]
    assert not any("authorization" in asked.headers for asked in puts)
    assert all(asked.size < 4_000_000 for asked in puts)


async def test_what_fits_goes_as_mime_all_the_same(microsoft, large) -> None:
    await send(large, mail())
    assert steps(microsoft) == ["sendMail"]


async def test_a_shared_mailboxs_draft_is_its_own(microsoft, large, tmp_path) -> None:
    large.with_("info@ditta.example", account="anna@ditta.example", through="mailbox")
    microsoft.graph.send_as = {("anna@ditta.example", "info@ditta.example")}
    await send(large, mail(*files(tmp_path, big=3_000_000)))
    paths = {asked.path.split("/messages")[0] for asked in microsoft.requests if "/messages" in asked.path}
    assert paths == {"/v1.0/users/info@ditta.example"}
    assert microsoft.graph.sent_drafts[0].message["from"]["emailAddress"]["address"] == "info@ditta.example"


async def test_150_mb_and_no_more(large) -> None:
    class Vast:
        size = 150_000_001
        headers = (("From", "anna@ditta.example"), ("To", "b@example.com"))
        message_id = "<1@ditta.example>"

    session = await INFO.factory().open(large.profile, large.session_context())
    envelope = render(mail(), large.profile).envelope
    with pytest.raises(Refused) as caught:
        await session.deliver(envelope, Vast(), deadline=asyncio.get_running_loop().time() + 5)
    assert caught.value.problem.code == "MSG-TOO-BIG"
    await session.close()


# Where it fails

ERROR = {"error": {"code": "SomethingNew", "message": "In Microsoft's words."}}
#: Which request fails, and how.
POINTS = {
    "attachments": [
        {"status": 500},
        {"status": 403, "body": ERROR},
        {"how": "lost"},
        {"how": "unread", "times": 2},
    ],
    "createUploadSession": [
        {"status": 503, "headers": {"Retry-After": "9"}},
        {"status": 201, "body": {}},
        {"status": 201, "body": {"uploadUrl": "http://127.0.0.1/x"}},
        {"status": 413, "body": ERROR},
        {"how": "lost"},
    ],
    "PUT": [
        {"status": 500},
        {"status": 404, "body": ERROR},
        {"status": 202},
        {"how": "lost"},
        {"how": "cut"},
    ],
    "send": [
        {"status": 403, "body": ERROR},
        {"status": 429},
        {"status": 503, "headers": {"Retry-After": "9"}},
    ],
}
FAILURES = [(point, fault) for point, faults in POINTS.items() for fault in faults]


@pytest.mark.parametrize(("point", "fault"), FAILURES, ids=[f"{point} {fault}" for point, fault in FAILURES])
async def test_a_draft_that_cannot_be_sent_is_taken_back(
    microsoft, large, tmp_path, point: str, fault: dict[str, object]
) -> None:
    if point == "PUT":
        microsoft.fail("/uploads/", **fault)
    else:
        microsoft.fail("/v1.0/", ending=f"/{point}", **fault)
    with pytest.raises(DeliveryError) as caught:
        await send(large, mail(*files(tmp_path, small=10, big=3_000_000)))
    # A 202 to the last range says that more is wanted: nobody sends half a file.
    assert not isinstance(caught.value, UnknownOutcome)
    assert steps(microsoft).count("DELETE") == 1
    assert ("send" in steps(microsoft)) is (point == "send")
    assert microsoft.drafts == []
    assert microsoft.graph.sent_drafts == []


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        ({"status": 500}, 1),
        ({"status": 200}, 1),
        ({"how": "cut", "status": 500}, 1),
        ({"how": "unread"}, 1),
        ({"how": "lost"}, 0),
    ],
)
async def test_a_draft_that_may_have_gone_is_left(microsoft, large, tmp_path, fault, left: int) -> None:
    """Where it is still there it did not go: whoever looks can tell."""
    microsoft.fail("/v1.0/", ending="/send", **fault)
    with pytest.raises(UnknownOutcome):
        await send(large, mail(*files(tmp_path, big=3_000_000)))
    assert "DELETE" not in steps(microsoft)
    assert (len(microsoft.drafts), len(microsoft.graph.sent_drafts)) == (left, 1 - left)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 500}, NotSent),
        ({"status": 403, "body": ERROR}, Held),
        ({"status": 201, "body": {}}, NotSent),
    ],
)
async def test_a_draft_that_was_not_made_is_not_missed(microsoft, large, tmp_path, fault, kind) -> None:
    microsoft.fail("/v1.0/", ending="/messages", **fault)
    with pytest.raises(kind):
        await send(large, mail(*files(tmp_path, big=3_000_000)))
    assert steps(microsoft) == ["messages"]


async def test_a_draft_that_stays_is_said_in_the_log(microsoft, large, tmp_path, caplog) -> None:
    microsoft.fail("/uploads/", status=500)
    microsoft.fail("/v1.0/", method="DELETE", status=500)
    with caplog.at_level(logging.WARNING, "recapito"), pytest.raises(NotSent):
        await send(large, mail(*files(tmp_path, big=3_000_000)))
    assert "left in the mailbox" in caplog.text


async def test_without_the_permission_it_is_said(microsoft, registered, tmp_path) -> None:
    narrow = registered.session_context()
    registered.with_(large_attachments=True)
    with pytest.raises(Held) as caught:
        await send(registered, mail(*files(tmp_path, big=3_000_000)), context=narrow)
    assert caught.value.problem.code == "M365-ACCESS-DENIED"


@pytest.mark.parametrize("ending", ["/attachments", "/createUploadSession"])
async def test_a_send_that_is_cancelled_takes_its_draft_back(microsoft, large, tmp_path, ending: str) -> None:
    with microsoft.hold(ending):
        sending = asyncio.ensure_future(send(large, mail(*files(tmp_path, small=10, big=3_000_000))))
        while not microsoft.held():  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.005)
        sending.cancel()
        with pytest.raises(NotSent) as caught:
            await sending
    assert caught.value.problem.code == "SEND-CANCELLED"
    assert microsoft.drafts == []


async def test_a_deadline_takes_the_draft_back(microsoft, large, tmp_path) -> None:
    microsoft.fail("/uploads/", how="silence")
    with pytest.raises(NotSent) as caught:
        await send(large, mail(*files(tmp_path, big=3_000_000)), seconds=1.0)
    assert caught.value.problem.code == "SEND-TIMEOUT"
    assert microsoft.drafts == []


async def test_a_file_that_changes_takes_the_draft_back(microsoft, large, tmp_path) -> None:
    [path] = files(tmp_path, big=RANGE + 10)
    context = large.session_context()
    session = await INFO.factory().open(large.profile, context)
    rendered = render(mail(path), large.profile)
    with microsoft.hold("/messages"):
        deadline = asyncio.get_running_loop().time() + 20
        sending = asyncio.ensure_future(
            session.deliver(rendered.envelope, rendered.content, deadline=deadline)
        )
        while not microsoft.held():  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.005)
        path.write_bytes(b"changed")
    with pytest.raises(NotSent) as caught:
        await sending
    assert caught.value.problem.code == "MSG-CHANGED"
    assert microsoft.drafts == []
    await session.close()
    rendered.content.close()


# How much memory it takes

MEASURE = r"""
    import asyncio, json, re, sys
    from pathlib import Path
    from recapito.message import Message
    from recapito.profile import Found, Profile
    from recapito.rendering import render
    from recapito.testing import TestContext
    from recapito_ms365_oauth.plugin import INFO

    given = json.loads(sys.stdin.read())
    profile = Profile.of("anna", sender="anna@ditta.example", transport="ms365_oauth",
                         settings={"large_attachments": True})
    context = TestContext(Found(profile), trust=given["pem"], tokens=[given["token"]])
    context.client = given["client"]

    def kilobytes(name):
        return int(re.search(name + r":\s+(\d+)", Path("/proc/self/status").read_text())[1])

    async def main():
        session = await INFO.factory().open(profile, context)

        async def send(path):
            rendered = render(Message(to=["b@example.com"], text="ciao", attachments=[path]), profile)
            deadline = asyncio.get_running_loop().time() + 60
            await session.deliver(rendered.envelope, rendered.content, deadline=deadline)
            rendered.content.close()

        await send(given["small"])
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        idle = kilobytes("VmRSS")
        await send(given["large"])
        print((kilobytes("VmHWM") - idle) * 1024)
        await session.close()

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak can be set back only there")
async def test_25_mb_take_less_than_16_mb_of_memory(microsoft, large, tmp_path) -> None:
    small, big = files(tmp_path, small=1_000, big=25_000_000)
    scopes = INFO.sign_ins["code"](large.profile).scopes
    token = microsoft.issue("anna@ditta.example", scopes, microsoft.url)
    given = {
        "pem": microsoft.pem,
        "token": token,
        "client": large.settings,
        "small": str(small),
        "large": str(big),
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", textwrap.dedent(MEASURE)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout) < 16_000_000
    assert microsoft.graph.sent_drafts[-1].attachments[0].received == 25_000_000
