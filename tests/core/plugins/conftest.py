"""Real distributions in a folder on sys.path: what the plugin manager finds is what pip would have installed."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a plugin: ``install(distribution, {module: source}, entry=(name, module))``."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def install_one(
        distribution: str, modules: dict[str, str], *, entry: tuple[str, str], version: str = "1.0"
    ) -> None:
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[recapito]\n{entry[0]} = {entry[1]}\n")
        for module, source in modules.items():
            (tmp_path / f"{module}.py").write_text(dedent(source))

    yield install_one
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
