"""Wheels of all four distributions, and clean environments to install them in. Only here may a test leave loopback."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "packaging" in (config.option.markexpr or ""):
        return
    reason = (
        "builds wheels and asks the package registry for dependencies: pytest -m packaging, as .ci/run does"
    )
    for item in items:
        if item.get_closest_marker("packaging"):
            item.add_marker(pytest.mark.skip(reason=reason))


def run(
    *command: str | Path, cwd: Path, check: bool = True, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """A command, in an environment that knows nothing of this one's packages and settings."""
    outer = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RECAPITO_", "PYTHON", "VIRTUAL_ENV", "PYTEST"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=outer | environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert not check or done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done


@dataclass(frozen=True)
class Environment:
    """A virtual environment in a folder of its own, with a home of its own."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def install(self, *what: str | Path) -> None:
        run("uv", "pip", "install", "-q", "--python", self.folder / "bin/python", *what, cwd=self.folder)

    def __call__(
        self, program: str, *arguments: str, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        home = {
            "HOME": str(self.home),
            "RECAPITO_HOME": str(self.home),
            "RECAPITO_LANG": "en",
            "NO_COLOR": "1",
        }
        return run(self.folder / "bin" / program, *arguments, cwd=self.home, check=check, **home)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each distribution by its name, built from its source archive as a release is."""
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    folder = tmp_path_factory.mktemp("dist")
    run("uv", "build", "-q", "--all-packages", "--out-dir", folder, cwd=ROOT)
    return {path.name.split("-")[0].replace("_", "-"): path for path in folder.glob("*.whl")}


@pytest.fixture
def environment(tmp_path: Path) -> Callable[[], Environment]:
    """Makes a clean environment."""

    def make() -> Environment:
        made = Environment(tmp_path / "environment")
        run("uv", "venv", "-q", made.folder, cwd=tmp_path)
        made.home.mkdir()
        return made

    return make
