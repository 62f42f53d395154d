"""What starting costs: nothing is imported before it is used."""

import json
import subprocess
import sys

import pytest

HEAVY = ("sqlalchemy", "msal", "google.auth", "httpx2", "aiosmtplib", "starlette")
COMMAND_LINE_WITHOUT = ("asyncio", "ssl", "msal", "sqlalchemy", "pydantic")
MODULES = 200

REPORT = "import json, sys; sys.stderr.write('\\n' + json.dumps(sorted(sys.modules)))"


def modules_after(code: str, *arguments: str) -> set[str]:
    """What a fresh interpreter has imported once ``code`` ended, by whatever way."""
    program = f"import atexit\natexit.register(lambda: exec({REPORT!r}))\n{code}"
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """What the interpreter and this test's own report bring."""
    return modules_after("")


@pytest.mark.parametrize("code", ["import recapito", "import recapito; dir(recapito)"])
def test_importing_recapito_loads_no_network_database_or_web_library(code: str) -> None:
    loaded = modules_after(code)
    assert loaded & set(HEAVY) == set()
    assert [name for name in loaded if name.startswith("recapito.")] == []


def test_what_is_exported_loads_on_use() -> None:
    assert "recapito.message" in modules_after("import recapito; recapito.Message")


@pytest.mark.parametrize("name", ["Message", "Profile", "Receipt", "Outcome", "Secret", "Refused"])
def test_plain_things_load_no_network_database_or_web_library(name: str) -> None:
    assert modules_after(f"import recapito; recapito.{name}") & set(HEAVY) == set()


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_the_command_line_starts_light(argument: str, bare: set[str]) -> None:
    loaded = modules_after("from recapito.__main__ import main\nmain()", argument)
    assert loaded & set(COMMAND_LINE_WITHOUT) == set()
    assert "recapito.cli.main" in loaded
    assert len(loaded) <= MODULES, sorted(loaded - bare)


@pytest.mark.parametrize("package", ["recapito_smtp_basic", "recapito_gmail_oauth", "recapito_ms365_oauth"])
def test_registering_a_plugin_imports_no_network_library(package: str) -> None:
    assert modules_after(f"import {package}.plugin") & {*HEAVY, "asyncio", "recapito.smtp"} == set()


def test_listing_transports_imports_no_network_library() -> None:
    code = "from recapito.plugins import Plugins\nassert len(Plugins.load().transports) >= 3, 'the built-in three'"
    assert modules_after(code) & {*HEAVY, "recapito_smtp_basic.transport", "recapito.smtp"} == set()
