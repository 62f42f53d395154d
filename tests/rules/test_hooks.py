"""Every hook has a spec, a page, a place where it is called, and a test in which it mattered; and nothing else has."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from recapito import (
    Held,
    Mailer,
    Message,
    Outcome,
    ProfileKey,
    Receipt,
    Secret,
    Secrets,
    Store,
    hookimpl,
    hookspecs,
)
from recapito.catalogue import Endpoint, Provider, Way, problem
from recapito.hookspecs import Change, ProviderRegister, Subject, TransportRegister
from recapito.loading import hook_names
from recapito.message import AnyMessage
from recapito.operators import Changes, Operators
from recapito.plugins import Plugins
from recapito.problem import Problem
from recapito.profile import Profile
from recapito.testing import MemoryTransport, memory_info

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core/src/recapito"
PAGE = (ROOT / "docs/hooks.md").read_text("utf-8")


@cache
def specs() -> dict[str, ast.FunctionDef]:
    source = ast.parse(Path(hookspecs.__file__).read_text("utf-8"))
    return {
        node.name: node
        for node in source.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id == "hookspec" for mark in node.decorator_list)
    }


def signature(node: ast.FunctionDef) -> str:
    assert node.returns is not None
    return f"{node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"


def section(hook: str) -> str:
    _, _, after = PAGE.partition(f"\n## `{hook}(")
    return after.partition("\n## ")[0]


def test_what_is_loaded_and_what_is_specified_are_the_same() -> None:
    assert hook_names() == set(specs())
    assert all(re.fullmatch(r"recapito_[a-z]+_[a-z]+", name) for name in specs()), "recapito_<verb>_<object>"


def test_the_page_has_the_exact_signature_of_every_hook_and_of_no_other() -> None:
    headings = re.findall(r"^## `(.+)`$", PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(signature(node) for node in specs().values())


@pytest.mark.parametrize("hook", specs())
def test_the_page_tells_arguments_return_and_example(hook: str) -> None:
    told = section(hook)
    for argument in specs()[hook].args.args:
        assert f"\n- `{argument.arg}`: " in told
    assert "Returns " in told
    assert re.search(rf"```python\n(?:(?!```)[\s\S])*@hookimpl\ndef {hook}\(", told), (
        "an implementation to copy"
    )


@pytest.mark.parametrize("hook", specs())
def test_every_argument_is_typed_and_every_spec_says_when_it_is_called(hook: str) -> None:
    assert all(argument.annotation for argument in specs()[hook].args.args)
    assert (ast.get_docstring(specs()[hook]) or "").startswith("Called ")


def calls() -> Iterator[tuple[str, str]]:
    """Each place in core that calls implementations: the hook's name, and the method that it happens in."""
    for path in CORE.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                yield from ((name, function.name) for name in called(node))


def called(node: ast.AST) -> Iterator[str]:
    """The hooks that one node calls: by the manager's own two ways, or by pluggy's."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("_calls", "_offer")
    ):
        yield from (name for name in texts(node) if name.startswith("recapito_"))
    elif (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "hook"
    ):
        yield node.attr


def texts(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value


def test_every_hook_is_called_somewhere_and_nothing_else_is() -> None:
    assert {hook for hook, _ in calls()} == set(specs())


def test_the_doors_of_the_manager_are_used_by_those_above() -> None:
    """A hook that the manager could call, and nobody asks it to, would be a dead one."""
    doors = {method for _, method in calls() if not method.startswith("_")}
    used = {
        node.attr
        for path in CORE.rglob("*.py")
        if path.name != "plugins.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert doors == {"prepare_message", "record_receipt", "record_change", "request_attention"}
    assert doors <= used


def test_whoever_asks_for_an_implementation_asks_for_one_that_exists() -> None:
    asked = {
        name
        for path in CORE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "implements"
        for name in texts(node)
    }
    assert asked <= set(specs())


# Each hook in use, through the public door: what it was given, and what came of it.


@dataclass
class Plugin:
    """Implements every hook, and keeps what it was given."""

    transport: MemoryTransport = field(default_factory=MemoryTransport)
    given: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in specs()})

    @hookimpl
    def recapito_register_transports(self, register: TransportRegister) -> None:
        self.given["recapito_register_transports"].append(register)
        register.transport(memory_info(self.transport, "acme"))

    @hookimpl
    def recapito_register_providers(self, register: ProviderRegister) -> None:
        self.given["recapito_register_providers"].append(register)
        server = Endpoint("smtp.acme.example", 465, "ssl", source="acme.example", date=date(2026, 11, 2))
        register.provider(Provider("acme", "Acme", domains=("acme.example",), ways=(Way("acme", (server,)),)))

    @hookimpl
    def recapito_prepare_message(self, profile: Profile, message: AnyMessage) -> AnyMessage:
        self.given["recapito_prepare_message"].append((profile, message))
        assert isinstance(message, Message)
        return message.with_(subject=f"[{profile.key.operator}] {message.subject}")

    @hookimpl
    def recapito_record_receipt(self, profile: Profile, receipt: Receipt) -> None:
        self.given["recapito_record_receipt"].append((profile, receipt))

    @hookimpl
    def recapito_record_change(self, profile: Profile, change: Change) -> None:
        self.given["recapito_record_change"].append((profile, change))

    @hookimpl
    def recapito_request_attention(self, subject: Subject, problem: Problem) -> None:
        self.given["recapito_request_attention"].append((subject, problem))


@pytest.fixture
def plugin() -> Plugin:
    return Plugin()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    with Store.create(f"sqlite:///{tmp_path}/store.db") as store:
        yield store


def run_of_all(plugin: Plugin, store: Store) -> Plugins:
    """A profile is made; one mail leaves; then the password is no longer right."""
    plugin.transport.passwords = Secrets({"anna@acme.example": "giusta"})
    with Mailer(store, hooks=[plugin]) as mailer:
        changes = Changes(
            sender="anna@acme.example", transport="acme", secrets=Secrets({"password": Secret("giusta")})
        )
        Operators(store, mailer.plugins).save(ProfileKey("", "anna"), changes, by="admin")
        mailer.send("anna", Message(to=["cliente@example.com"], subject="Fattura"), reference="invoice:12")
        plugin.transport.fail_with = Held(problem("AUTH-FAILED"))
        for _ in range(2):
            with pytest.raises(Held):
                mailer.send("anna", Message(to=["cliente@example.com"], subject="Ordine"))
        return mailer.plugins


def transports(plugin: Plugin, plugins: Plugins) -> bool:
    return plugins.info("acme").title == "Memory" and len(plugin.transport.sent) == 1


def providers(_plugin: Plugin, plugins: Plugins) -> bool:
    found = plugins.catalogue.for_domain("acme.example")
    return found is not None and found.title == "Acme"


def prepared(plugin: Plugin, _plugins: Plugins) -> bool:
    return b"Subject: [anna] Fattura\r\n" in plugin.transport.sent[0].content


def receipts(plugin: Plugin, _plugins: Plugins) -> bool:
    rows = [receipt for _, receipt in plugin.given["recapito_record_receipt"]]
    return rows[0].reference == "invoice:12" and [row.outcome for row in rows][:2] == [
        Outcome.ACCEPTED,
        Outcome.HELD,
    ]


def changed(plugin: Plugin, _plugins: Plugins) -> bool:
    rows = [(change.action, change.by) for _, change in plugin.given["recapito_record_change"]]
    return rows[0] == ("created", "admin") and "paused" in [action for action, _ in rows]


def attention(plugin: Plugin, _plugins: Plugins) -> bool:
    ((subject, found),) = plugin.given["recapito_request_attention"]  # once, though it failed twice
    return bool(subject.profile == ProfileKey("", "anna") and found.code == "AUTH-FAILED")


#: What shows that a hook was called and that it mattered.
PROOFS: dict[str, Callable[[Plugin, Plugins], bool]] = {
    "recapito_register_transports": transports,
    "recapito_register_providers": providers,
    "recapito_prepare_message": prepared,
    "recapito_record_receipt": receipts,
    "recapito_record_change": changed,
    "recapito_request_attention": attention,
}


def test_there_is_a_proof_for_every_hook_and_for_no_other() -> None:
    assert set(PROOFS) == set(specs())


def test_every_hook_is_really_called_and_matters(plugin: Plugin, store: Store) -> None:
    plugins = run_of_all(plugin, store)
    assert [hook for hook, calls in plugin.given.items() if not calls] == []
    assert [hook for hook, proof in PROOFS.items() if not proof(plugin, plugins)] == []
