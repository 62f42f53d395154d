"""What is logged: who, how, what became of it; never a secret, never a recipient in clear."""

import base64
import logging
import quopri
from typing import Any
from urllib.parse import quote

import pytest

from recapito import Held, Mailer, Message, NotSent, Profile, Secrets
from recapito.context import ProfileContext, TlsContexts
from recapito.redaction import fingerprint, redact
from recapito.secret import Secret
from recapito.testing import MemoryTransport, memory_info
from recapito.workers import Workers

SECRET = 'Perché "no"? a/b+c=1\\2'


def records(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(str(vars(record)) + record.getMessage() for record in caplog.records)


def test_each_send_is_one_line_with_fields(
    memory: MemoryTransport, anna: Profile, message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "recapito")
    with Mailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        receipt = mailer.send("anna", message)
    (record,) = [record for record in caplog.records if record.name == "recapito.mailer"]
    fields: dict[str, Any] = vars(record)
    assert fields["operator"] == "anna"
    assert fields["transport"] == "memory"
    assert fields["message_id"] == receipt.message_id
    assert fields["code"] == ""
    assert fields["step"] == ""
    assert fields["ms"] > 0
    assert "cliente@example.com" not in records(caplog)
    assert fingerprint("cliente@example.com") in record.getMessage()


def test_no_handler_is_installed() -> None:
    assert logging.getLogger("recapito").handlers == []


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(b"\0anna@example.it\0" + SECRET.encode()).decode(),
        base64.b64encode(b"x" + SECRET.encode() + b"y").decode(),
        base64.b64encode(b"xy" + SECRET.encode() + b"yz").decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        quopri.encodestring(SECRET.encode()).decode(),
        repr(SECRET),
    ],
    ids=["plain", "percent", "base64", "AUTH PLAIN", "base64 inside 1", "inside 2", "url", "qp", "repr"],
)
def test_a_secret_is_replaced_however_it_is_written(form: str) -> None:
    shown = redact(f"before {form} after", [Secret(SECRET)], "anna@example.it")
    assert SECRET not in shown
    assert "before" in shown
    assert "after" in shown
    assert form not in shown
    assert "**********" in shown


def test_an_empty_secret_replaces_nothing() -> None:
    assert redact("unchanged", [Secret("")]) == "unchanged"


def test_a_transports_log_never_shows_its_secrets(found_for: Any, caplog: pytest.LogCaptureFixture) -> None:
    from recapito.catalogue import builtin

    caplog.set_level(logging.DEBUG)
    found = found_for("anna", password=SECRET)
    log = ProfileContext(found, builtin(), TlsContexts(), Workers(1, "test")).log
    log.debug("the password is %s", SECRET)
    log.info("%(a)s", {"a": SECRET})
    log.warning("x", extra={"line": SECRET})
    try:
        raise ValueError(f"server said {SECRET}")
    except ValueError:
        log.exception("failed")
    assert SECRET not in records(caplog)
    assert "server said **********" in caplog.text
    assert {record.name for record in caplog.records} == {"recapito.transport.memory"}
    assert {vars(record)["operator"] for record in caplog.records} == {"anna"}
    assert all(record.filename == "test_log.py" for record in caplog.records)


def test_nothing_secret_is_logged_when_a_plugin_explodes(
    found_for: Any, message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    class Exploding(MemoryTransport):
        async def open(self, profile: Any, context: Any) -> Any:
            raise OSError(f"could not use {context.secrets['password'].reveal()}")

    with Mailer(
        {"anna": found_for("anna", password=SECRET)}, transports=[memory_info(Exploding())]
    ) as mailer:
        receipt = mailer.send("anna", message, check=False)
    assert receipt.problem is not None
    assert receipt.problem.code == "TRANSPORT-CRASHED"
    assert SECRET not in records(caplog)
    assert SECRET not in str(receipt)
    assert "could not use **********" in caplog.text


def test_an_error_of_a_plugin_brings_none_of_its_frames(found_for: Any, message: Message) -> None:
    class Exploding(MemoryTransport):
        async def open(self, profile: Any, context: Any) -> Any:
            password = context.secrets["password"].reveal()
            raise OSError(len(password))

    made = Mailer({"anna": found_for("anna", password=SECRET)}, transports=[memory_info(Exploding())])
    with made as mailer, pytest.raises(NotSent) as caught:
        mailer.send("anna", message)
    error: BaseException | None = caught.value
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            assert SECRET not in [each for each in trace.tb_frame.f_locals.values() if isinstance(each, str)]
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


@pytest.mark.anyio
async def test_a_token_is_refused_with_a_problem_that_says_why(found_for: Any) -> None:
    from recapito.catalogue import builtin

    context = ProfileContext(found_for("anna"), builtin(), TlsContexts(), Workers(1, "test"))
    with pytest.raises(Held) as caught:
        await context.token("https://example.it/send")
    assert caught.value.problem.code == "SIGN-IN-MISSING"
    assert caught.value.problem.pauses


def test_secrets_are_those_of_the_profile_alone(found_for: Any) -> None:
    from recapito.catalogue import builtin

    context = ProfileContext(found_for("anna", password="x"), builtin(), TlsContexts(), Workers(1, "test"))
    assert context.secrets == Secrets({"password": "x"})


def test_a_tls_context_is_made_once_and_verifies() -> None:
    import ssl

    from recapito import Misconfigured
    from recapito.testing import CertificateAuthority

    contexts = TlsContexts()
    own = CertificateAuthority().pem
    made = contexts.get(own)
    assert contexts.get(own) is made
    assert contexts.get() is not made
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
    assert not made.hostname_checks_common_name
    assert made.minimum_version >= ssl.TLSVersion.TLSv1_2
    with pytest.raises(Misconfigured) as caught:
        contexts.get("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    assert caught.value.problem.code == "TLS-CA"
