"""What the smallest commands load, counted in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_HEAVY = {"asyncio", "ssl", "msal", "sqlalchemy", "pydantic", "recapito.store.database", "cryptography"}

_COUNT = """
import sys
sys.argv = ["recapito", *{arguments!r}]
from recapito.__main__ import main
try:
    main()
except SystemExit as end:
    print(end.code, *sorted(sys.modules), sep="\\n", file=sys.stderr)
"""


def _loaded(
    tmp_path: Path, *arguments: str, environment: dict[str, str] | None = None
) -> tuple[str, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", _COUNT.format(arguments=list(arguments))],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "RECAPITO_HOME": str(tmp_path), **(environment or {})},
        check=True,
    )
    code, *modules = done.stderr.splitlines()
    assert code == "0", done.stderr
    return done.stdout, set(modules)


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["profile", "--help"], ["--help", "--lang", "it"]]
)
def test_version_and_help_load_few_modules_and_none_of_the_heavy_ones(
    tmp_path: Path, arguments: list[str]
) -> None:
    out, modules = _loaded(tmp_path, *arguments)
    assert out
    assert not modules & _HEAVY
    assert len(modules) <= 200


def test_a_configuration_file_is_read_for_help_without_loading_more(tmp_path: Path) -> None:
    (tmp_path / "recapito.toml").write_text('lang = "it"\n', encoding="utf-8")
    out, modules = _loaded(tmp_path, "--help", environment={"LC_ALL": "C.UTF-8", "RECAPITO_LANG": ""})
    assert "casella" in out
    assert len(modules) <= 200


def test_without_click_the_extra_is_named_and_the_exit_code_is_3(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.modules['click'] = None\nfrom recapito.__main__ import main\nmain()",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "RECAPITO_LANG": "en"},
        check=False,
    )
    assert done.returncode == 3
    assert "[cli]" in done.stderr
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr


def test_python_dash_m_is_the_same_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recapito", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("recapito ")
