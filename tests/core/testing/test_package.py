"""The kit is light to import, needs pytest for its checks only, and has what it promises."""

import importlib
import subprocess
import sys

import pytest

import recapito.testing as kit

#: What a face that only needs the servers does, on a machine without pytest and aiosmtplib.
SERVERS_ONLY = """
import sys
sys.modules["pytest"] = sys.modules["aiosmtplib"] = None
from recapito.testing import CertificateAuthority, MemoryTransport, ScriptServer, SmtpServer, capture
with SmtpServer(users={"anna": "segreta"}) as server:
    print(server.port > 0)
"""
LIGHT = """
import sys
import recapito.testing
print(sorted({"aiosmtpd", "trustme", "cryptography", "pydantic", "pytest", "asyncio"} & set(sys.modules)))
"""


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_servers_need_neither_pytest_nor_a_mail_client() -> None:
    assert run(SERVERS_ONLY) == "True\n"


def test_names_load_when_they_are_used() -> None:
    assert run(LIGHT) == "[]\n"


@pytest.mark.parametrize("name", kit.__all__)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(kit, name)
    assert (value.__doc__ or "").strip()


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = kit.Nothing  # type: ignore[attr-defined]


def test_names_are_listed_once_and_in_order() -> None:
    assert kit.__all__ == sorted(set(kit.__all__), key=lambda name: (name.islower(), name))


def test_the_modules_of_the_kit_list_their_names() -> None:
    for module in ("script", "stored", "specimen", "bench", "leaks", "failure", "conformance"):
        found = importlib.import_module(f"recapito.testing.{module}")
        assert all(hasattr(found, name) for name in found.__all__)
