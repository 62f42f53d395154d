"""The house's own laws on files, names and words."""

import ast
import re
import statistics
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])
OURS = sorted([*SOURCES, *ROOT.glob("scripts/*.py"), *ROOT.glob("benchmarks/**/*.py")])
CEILING = 400
#: What asyncio and aiosmtpd call: their own docs say what these get.
CALLED_BY_LIBRARIES = re.compile(
    r"connection_(made|lost)|(data|eof)_received|(pause|resume)_writing|push|handle_exception"
    r"|(smtp|auth|handle)_[A-Z0-9]+"
)
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "common.py", "misc.py"}


@cache
def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:  # a source archive has no .git: what lies there is what would be tracked
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if ".venv" not in path.parts]
    return [path for path in map(ROOT.joinpath, names) if path.is_file()]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def public_without_docstring(source: ast.Module) -> list[str]:
    """Public classes, functions and methods that say nothing of what the caller gets."""
    wrong: list[str] = []

    def look(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("_") or any(
                "overload" in ast.unparse(each) for each in node.decorator_list
            ):
                continue
            if ast.get_docstring(node) is None and not (prefix and CALLED_BY_LIBRARIES.fullmatch(node.name)):
                wrong.append(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{prefix}{node.name}.")

    look(source.body, "")
    return wrong


def exported(source: ast.Module) -> list[str] | None:
    for node in source.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return None


def test_no_module_is_longer_than_the_ceiling() -> None:
    lengths = {shown(path): len(path.read_text("utf-8").splitlines()) for path in OURS}
    assert {name: length for name, length in lengths.items() if length > CEILING} == {}


def test_half_of_the_modules_have_at_most_100_lines() -> None:
    assert statistics.median(len(path.read_text("utf-8").splitlines()) for path in SOURCES) <= 100


def test_modules_are_called_for_what_they_hold() -> None:
    names = {shown(path) for path in OURS if path.name in FORBIDDEN_NAMES or path.name.startswith("base_")}
    assert names == set()


def test_every_public_name_has_a_docstring() -> None:
    wrong = {shown(path): public_without_docstring(ast.parse(path.read_text("utf-8"))) for path in SOURCES}
    assert {path: names for path, names in wrong.items() if names} == {}


def test_every_module_has_a_docstring() -> None:
    assert [shown(path) for path in OURS if not ast.get_docstring(ast.parse(path.read_text("utf-8")))] == []


def test_every_module_says_what_it_exports() -> None:
    missing, stale = [], {}
    for path in SOURCES:
        source = ast.parse(path.read_text("utf-8"))
        names = exported(source)
        public = {node.name for node in source.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"}
        if len(source.body) == 1 or "migrations" in path.parts:
            continue  # the docstring of a package whose modules are imported by name; Alembic's own scripts
        if names is None:
            missing.append(shown(path))
        elif hidden := public - set(names):
            stale[shown(path)] = hidden
    assert missing == []
    assert stale == {}, "public classes that __all__ does not name"


def test_nothing_is_left_unfinished() -> None:
    unfinished = re.compile(r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError|pragma: no cover")
    wrong = [
        f"{shown(path)}:{number}"
        for path in OURS
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if unfinished.search(line)
    ]
    assert wrong == []


def test_no_registry_host_and_no_path_of_a_machine_is_tracked() -> None:
    host = re.compile(r"(index-url|find-links|registry|index)\s*[=:]\s*[\"']?https?:")
    path_of_a_machine = re.compile(r"(?<![\w.:])/(work|farm|root|home)/[A-Za-z.]")
    wrong = []
    for path in tracked():
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        wrong += [
            f"{shown(path)}:{number}"
            for number, line in enumerate(lines, 1)
            if host.search(line) or path_of_a_machine.search(line)
        ]
    assert wrong == []


def test_the_lock_file_is_not_tracked() -> None:
    assert ROOT / "uv.lock" not in tracked()


def test_every_distribution_is_typed_and_carries_its_licence() -> None:
    for project in sorted(ROOT.glob("*/pyproject.toml")) + sorted(ROOT.glob("plugins/*/pyproject.toml")):
        package = next(
            path for path in (project.parent / "src").iterdir() if path.name.startswith("recapito")
        )
        assert (package / "py.typed").is_file(), project
        assert "the recapito authors" in (project.parent / "LICENSE").read_text("utf-8"), project


def test_no_source_calls_accepted_mail_delivered() -> None:
    claim = re.compile(r"\b(delivered|consegnat[aoei]|recapitat[aoei])\b", re.IGNORECASE)
    denial = re.compile(r"\b(never|not|non|nobody|mai|undelivered)\b|[\"“]delivered[\"”]", re.IGNORECASE)
    texts = sorted([*OURS, *ROOT.glob("core/src/**/*.po"), *ROOT.glob("plugins/*/src/**/*.po")])
    wrong = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if claim.search(line) and not denial.search(line)
    ]
    assert wrong == []
