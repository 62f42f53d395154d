"""What is installed is whole: each distribution alone, all together, and a stranger's plugin beside them."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("recapito", "recapito-smtp-basic", "recapito-gmail-oauth", "recapito-ms365-oauth")
FIRST_PLUGIN = ROOT / "docs/first-plugin.md"


def test_there_is_a_wheel_of_each_distribution(wheels: dict[str, Path]) -> None:
    assert sorted(wheels) == sorted(DISTRIBUTIONS)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_wheel_carries_its_types_licence_and_data(name: str, wheels: dict[str, Path]) -> None:
    package = name.replace("-", "_")
    inside = set(zipfile.ZipFile(wheels[name]).namelist())
    assert f"{package}/py.typed" in inside
    assert any(entry.endswith("licenses/LICENSE") for entry in inside)
    assert not {entry for entry in inside if entry.startswith("tests/") or "__pycache__" in entry}
    source = next(ROOT.glob(f"*/src/{package}"), None) or next(ROOT.glob(f"plugins/*/src/{package}"))
    data = {
        f"{package}/{path.relative_to(source)}"
        for end in ("mo", "toml", "py")
        for path in source.rglob(f"*.{end}")
    }
    assert data - inside == set()


def test_core_alone_names_the_extras_to_install(
    wheels: dict[str, Path], environment: Callable[[], Any]
) -> None:
    alone = environment()
    alone.install(wheels["recapito"])
    without = alone("recapito", "--help", check=False)
    assert without.returncode == 3
    assert "recapito[cli]" in without.stderr
    script = (
        "from recapito import Mailer, Message, NotFound, Profile\n"
        "from recapito.plugins import Plugins\n"
        "assert not Plugins.load().transports\n"
        "anna = Profile.of('anna', sender='anna@example.it', transport='smtp_basic')\n"
        "try:\n"
        "    Mailer({'anna': anna}).send('anna', Message(to=['a@example.com'], subject='Fattura'))\n"
        "except NotFound as error:\n"
        "    print(error)\n"
    )
    assert "recapito-smtp-basic" in alone("python", "-c", script).stdout


@pytest.mark.parametrize("name", DISTRIBUTIONS[1:])
def test_a_plugin_alone_brings_what_it_needs(
    name: str, wheels: dict[str, Path], environment: Callable[[], Any]
) -> None:
    alone = environment()
    alone.install(f"recapito @ {wheels['recapito'].as_uri()}", wheels[name])
    transport = name.removeprefix("recapito-").replace("-", "_")
    script = (
        "from recapito.plugins import Plugins\n"
        "plugins = Plugins.load()\n"
        "assert not plugins.faults, plugins.faults\n"
        f"assert list(plugins.transports) == ['{transport}']\n"
        f"plugins.transport('{transport}')\n"
    )
    alone("python", "-c", script)


def test_all_of_them_find_each_other(wheels: dict[str, Path], environment: Callable[[], Any]) -> None:
    together = environment()
    core = wheels["recapito"].as_uri()
    together.install(f"recapito[cli] @ {core}", *(wheels[name] for name in DISTRIBUTIONS[1:]))
    rows = [
        json.loads(line) for line in together("recapito", "plugins", "list", "--json").stdout.splitlines()
    ]
    assert {row["distribution"]: row["state"] for row in rows} == dict.fromkeys(DISTRIBUTIONS[1:], "on")
    told = together("recapito", "explain", "AUTH-FAILED", "--lang", "it").stdout
    assert "password" in told
    assert "The server" not in told, "the Italian texts are in the wheel"
    assert "libero" in together("recapito", "providers", "detect", "anna@libero.it").stdout
    refused = together("recapito", "demo", check=False)
    assert refused.returncode == 3
    assert "recapito[demo]" in refused.stderr


def test_types_are_seen_by_those_who_install_it(
    wheels: dict[str, Path], environment: Callable[[], Any], tmp_path: Path
) -> None:
    installed = environment()
    installed.install(wheels["recapito"])
    (tmp_path / "host.py").write_text(
        "from recapito import Mailer, Message, Receipt\n"
        "def send(mailer: Mailer) -> Receipt:\n"
        "    return mailer.send('anna', Message(to=['a@example.com']))\n"
        "def misspelt(receipt: Receipt) -> None:\n"
        "    print(receipt.outcom)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    command += ["--config-file=", "--python-executable", str(installed.folder / "bin/python"), "host.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1, done.stdout + done.stderr
    assert 'host.py:5: error: "Receipt" has no attribute "outcom"' in errors[0]


def test_the_plugin_of_the_docs_is_built_installed_and_keeps_the_contract(
    wheels: dict[str, Path], environment: Callable[[], Any], tmp_path: Path
) -> None:
    source = tmp_path / "letterbox"
    blocks = re.findall(
        r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", FIRST_PLUGIN.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    for name, text in blocks:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    stranger = environment()
    stranger.install(f"recapito[cli,testing] @ {wheels['recapito'].as_uri()}", source)
    listed = stranger("recapito", "plugins", "list", "--json").stdout
    (row,) = [json.loads(line) for line in listed.splitlines()]
    assert (row["name"], row["state"], row["transports"]) == ("letterbox", "on", ["letterbox"])
    passed = stranger("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(source / "tests"))
    assert re.search(r"\d+ passed, \d+ skipped", passed.stdout)
