"""The floors of the house: an import never goes up, nothing goes in a circle, core names no plugin."""

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core/src"
PLUGINS = ROOT / "plugins"

#: From the ground up. A package stands for all of its files; on one floor they may import each other.
FLOORS = (
    (
        "plain things",
        "outcome problem receipt errors limits profile secret reply texts redaction settings exiting entropy",
    ),
    ("the message", "envelope message content address invalid rendering"),
    ("catalogue", "catalogue"),
    ("store", "store"),
    ("ledger", "ledger"),
    ("contract", "signin transport hookspecs"),
    ("toolkits", "smtp oauth discovery"),
    ("what is installed, open and told", "loading register plugins pool permits workers attention overdue"),
    ("threads and forks", "caller_thread hook_thread following forking private_loop"),
    ("what a profile signs in with", "accounts access client_context"),
    ("what a send needs", "history journalling sources context route resolver engine vetting outlet courier"),
    (
        "mailer and operators",
        "senders proposal operators clients switching signing health aftermath sending checking many mailer blocking",
    ),
    ("outbox", "outbox"),
    ("kit", "testing"),
    ("faces", "cli web demo integrations __main__"),
)
FLOOR_OF = {name: height for height, (_, names) in enumerate(FLOORS) for name in names.split()}
KIT = FLOOR_OF["testing"]
#: What the distributions and import packages of the built-in plugins are called.
PLUGIN_NAMES = {path.parent.name for path in PLUGINS.glob("*/pyproject.toml")}
IMPORT_NAMES = {f"recapito_{name}" for name in PLUGIN_NAMES}


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(CORE.rglob("*.py")):
        name = ".".join(path.relative_to(CORE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that one node imports, whether at the top, in a function or for type checkers only."""
    known = modules()
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            yield full if full in known else node.module
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        first = node.args[0] if node.args else None
        if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
            yield str(first.value)


@cache
def graph() -> dict[str, frozenset[str]]:
    return {
        name: frozenset(other for node in ast.walk(tree(path)) for other in imported(node))
        for name, path in modules().items()
    }


def room(module: str) -> str:
    """The file or package directly under ``recapito`` that a module belongs to; the façade has none."""
    return module.split(".")[1] if "." in module else ""


def upward(graph: dict[str, frozenset[str]]) -> list[str]:
    wrong = []
    for module, others in sorted(graph.items()):
        if module == "recapito":
            continue  # the façade re-exports lazily; nothing below it may import it, see the next test
        own = [other for other in sorted(others) if other.startswith("recapito.")]
        wrong += [
            f"{module} imports {other}" for other in own if FLOOR_OF[room(other)] > FLOOR_OF[room(module)]
        ]
    return wrong


def circles(graph: dict[str, frozenset[str]]) -> list[list[str]]:
    """Groups of files that import each other in a circle (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph.get(name, ()):
            if other not in graph:
                continue
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1 or name in graph[name]:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def test_every_module_stands_on_a_floor() -> None:
    rooms = {room(module) for module in modules()} - {""}
    assert rooms - FLOOR_OF.keys() == set(), "say in FLOORS where they belong"


def test_no_import_goes_up() -> None:
    assert upward(graph()) == []


def test_an_upward_import_is_seen_wherever_it_stands() -> None:
    source = "def f():\n    from recapito import mailer\n    import_module('recapito.cli.main')\n"
    found = frozenset(name for node in ast.walk(ast.parse(source)) for name in imported(node))
    assert upward({"recapito.store.keys": found}) == [
        "recapito.store.keys imports recapito.cli.main",
        "recapito.store.keys imports recapito.mailer",
    ]


def test_no_file_below_the_faces_imports_the_facade() -> None:
    wrong = [
        module
        for module, others in graph().items()
        if "recapito" in others and FLOOR_OF.get(room(module), 0) < FLOOR_OF["cli"] and module != "recapito"
    ]
    assert wrong == []


def test_no_two_files_import_each_other_in_a_circle() -> None:
    files = {name: others for name, others in graph().items() if name != "recapito"}
    assert circles(files) == []


def test_a_circle_is_found() -> None:
    ring = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"}), "d": frozenset({"a"})}
    assert circles(ring) == [["a", "b", "c"]]


def test_only_the_demo_imports_the_kit() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in graph().items()
        for other in others
        if other.startswith("recapito.testing") and room(module) not in ("testing", "demo")
    ]
    assert wrong == []


def test_core_imports_no_plugin() -> None:
    wrong = {module: others & IMPORT_NAMES for module, others in graph().items() if others & IMPORT_NAMES}
    assert wrong == {}


def names_in_code(source: ast.Module) -> set[str]:
    """Every identifier, and every text that is not a docstring."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(source)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    found = set()
    for node in ast.walk(source):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            found.add(node.value)
    return found


def mentions(text: str) -> set[str]:
    distributions = {name.replace("_", "-") for name in IMPORT_NAMES}
    return {name for name in PLUGIN_NAMES | IMPORT_NAMES | distributions if name in text}


def test_no_code_in_core_names_a_plugin() -> None:
    named = {
        module: {name for text in names_in_code(tree(path)) for name in mentions(text)}
        for module, path in modules().items()
    }
    assert {module: names for module, names in named.items() if names} == {}


def test_a_plugin_that_is_named_is_seen() -> None:
    source = ast.parse('"""smtp_basic here is a docstring."""\nwanted = f"pip install recapito-smtp-basic"\n')
    assert {name for text in names_in_code(source) for name in mentions(text)} == {"recapito-smtp-basic"}


def test_plugins_import_the_contract_and_the_toolkits_only() -> None:
    allowed = range(FLOOR_OF["smtp"] + 1)
    wrong = []
    for path in sorted(PLUGINS.glob("*/src/**/*.py")):
        for node in ast.walk(tree(path)):
            for other in imported(node):
                if room(other) and other.startswith("recapito.") and FLOOR_OF[room(other)] not in allowed:
                    wrong.append(f"{path.relative_to(ROOT)} imports {other}")
                if any(part.startswith("_") for part in other.split(".")) and other.startswith("recapito."):
                    wrong.append(f"{path.relative_to(ROOT)} imports {other}, which is private")
    assert wrong == []


def test_plugins_do_not_import_each_other() -> None:
    wrong = []
    for path in sorted(PLUGINS.glob("*/src/**/*.py")):
        own = path.relative_to(PLUGINS).parts[2]
        others = {name.split(".")[0] for node in ast.walk(tree(path)) for name in imported(node)}
        wrong += [f"{own} imports {other}" for other in others & IMPORT_NAMES - {own}]
    assert wrong == []


def test_the_built_in_plugins_use_the_door_that_strangers_use() -> None:
    for name in sorted(PLUGIN_NAMES):
        project = tomllib.loads((PLUGINS / name / "pyproject.toml").read_text())["project"]
        assert project["entry-points"]["recapito"] == {name: f"recapito_{name}.plugin"}
        assert project["name"] == "recapito-" + name.replace("_", "-")


def test_a_plugins_tests_know_that_plugin_and_the_public_kit_only() -> None:
    """They run by themselves too, where nothing of the others is installed."""
    wrong = []
    for path in sorted((ROOT / "tests/plugins").rglob("*.py")):
        own = path.relative_to(ROOT / "tests/plugins").parts[0]
        source = tree(path)
        used = {other.split(".")[0] for node in ast.walk(source) for other in imported(node)}
        used |= {name for name in IMPORT_NAMES for text in names_in_code(source) if name in text}
        wrong += [
            f"{path.relative_to(ROOT)} uses {other}" for other in used & IMPORT_NAMES - {f"recapito_{own}"}
        ]
    assert wrong == []
