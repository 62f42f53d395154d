"""Plugins are loaded one by one: a broken one is named with its fault, and the others work."""

import sys
from collections.abc import Callable

import pytest

from recapito.plugins import Plugins

Install = Callable[..., None]

TRANSPORT = """
    from pydantic import BaseModel
    from recapito.hookspecs import hookimpl
    from recapito.transport import TransportInfo

    class Settings(BaseModel):
        host: str = ""

    @hookimpl
    def recapito_register_transports(register):
        register.transport(TransportInfo("{name}", "{name}", Settings, factory=lambda: __import__("{name}_transport")))
"""


def fault_of(plugins: Plugins, plugin: str) -> str:
    return next(fault.reason for fault in plugins.faults if fault.plugin == plugin)


def state_of(plugins: Plugins, distribution: str) -> str:
    return next(each.state for each in plugins.installed if each.distribution == distribution)


@pytest.fixture
def good(install: Install) -> None:
    install("recapito-acme", {"acme_plugin": TRANSPORT.format(name="acme")}, entry=("acme", "acme_plugin"))


HOOK = "from recapito.hookspecs import hookimpl\n@hookimpl\n"

BROKEN = {
    "raises": ("raise RuntimeError('boom')", "cannot be imported: RuntimeError: boom"),
    "exits": ("import sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
    "syntax": ("def (:", "cannot be imported: SyntaxError"),
    "needs": ("import a_library_that_is_not_there", "ModuleNotFoundError"),
    "unknown hook": (
        HOOK + "def recapito_prepare_mesage(profile, message): ...",
        "recapito_prepare_mesage, which is no hook",
    ),
    "async hook": (
        HOOK + "async def recapito_prepare_message(message): ...",
        "is async",
    ),
    "wrapper": (
        HOOK.replace("impl\n@hookimpl", "impl\n@hookimpl(wrapper=True)")
        + "def recapito_prepare_message(message): yield",
        "is a wrapper",
    ),
    "argument": (
        HOOK + "def recapito_prepare_message(mesage): ...",
        "takes mesage",
    ),
    "unmarked": ("def recapito_prepare_message(profile, message): ...", "not marked with @hookimpl"),
    "newer": ("RECAPITO_HOOK_API = (1, 99)", "built for hook API (1, 99)"),
    "major": ("RECAPITO_HOOK_API = (2, 0)", "built for hook API (2, 0)"),
    "nonsense": ("RECAPITO_HOOK_API = 'one'", "built for hook API 'one'"),
    "registering raises": (
        HOOK + "def recapito_register_transports(register): 1 / 0",
        "failed while registering: ZeroDivisionError",
    ),
    "registers nonsense": (
        HOOK + "def recapito_register_transports(register): register.transport('acme')",
        "takes a TransportInfo, not str",
    ),
}


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_named_with_its_fault_and_the_others_work(install: Install, case: str) -> None:
    source, reason = BROKEN[case]
    install("aaa-broken", {"broken_plugin": source}, entry=("broken", "broken_plugin"))
    plugins = Plugins.load()
    assert reason in fault_of(plugins, "broken")
    assert state_of(plugins, "aaa-broken") == "fault"
    assert "acme" in plugins.transports
    assert state_of(plugins, "recapito-acme") == "on"


@pytest.mark.usefixtures("good")
def test_a_transport_module_is_imported_only_when_its_name_is_asked_for(install: Install) -> None:
    plugins = Plugins.load()
    assert "acme_transport" not in sys.modules
    with pytest.raises(Exception, match="acme") as caught:
        plugins.transport("acme")
    assert type(caught.value.__cause__) is ModuleNotFoundError
    install("other", {"acme_transport": "made = True"}, entry=("other", "acme_transport"))
    assert plugins.transport("acme").made  # type: ignore[attr-defined]
    assert plugins.transport("acme") is plugins.transport("acme")


@pytest.mark.usefixtures("good")
def test_a_stranger_cannot_take_the_name_of_another_distribution(install: Install) -> None:
    install("aaa-thief", {"thief_plugin": TRANSPORT.format(name="acme")}, entry=("acme", "thief_plugin"))
    plugins = Plugins.load()
    assert "recapito-acme" in fault_of(plugins, "acme")
    assert state_of(plugins, "recapito-acme") == "on"
    assert "thief_plugin" not in sys.modules
    assert plugins.info("acme").settings.__module__ == "acme_plugin"


@pytest.mark.usefixtures("good")
def test_a_stranger_under_a_name_of_its_own_cannot_offer_another_ones_transport(install: Install) -> None:
    install("aaa-thief", {"thief_plugin": TRANSPORT.format(name="acme")}, entry=("thief", "thief_plugin"))
    plugins = Plugins.load()
    assert "transport acme is also offered by recapito-acme" in fault_of(plugins, "thief")
    assert plugins.info("acme").settings.__module__ == "acme_plugin"


def test_two_claims_without_the_owner_are_both_refused(install: Install) -> None:
    for who in ("one", "two"):
        install(f"mail-{who}", {f"{who}_plugin": TRANSPORT.format(name="acme")}, entry=(who, f"{who}_plugin"))
    plugins = Plugins.load()
    assert "acme" not in plugins.transports
    assert "mail-two" in fault_of(plugins, "one")
    assert "mail-one" in fault_of(plugins, "two")


def test_a_disabled_plugin_is_never_imported(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("recapito-acme", {"acme_plugin": "raise SystemExit"}, entry=("acme", "acme_plugin"))
    for name in ("acme", "recapito-acme", "Recapito_Acme , other"):
        monkeypatch.setenv("RECAPITO_DISABLE_PLUGINS", name)
        plugins = Plugins.load()
        assert state_of(plugins, "recapito-acme") == "off"
        assert "acme_plugin" not in sys.modules
        assert not [fault for fault in plugins.faults if fault.plugin == "acme"]


def test_an_unknown_transport_names_the_package_that_would_bring_it(install: Install) -> None:
    with pytest.raises(LookupError, match="recapito-carrier-pigeon"):
        Plugins.load().info("carrier_pigeon")


def test_a_transport_of_a_faulty_plugin_is_explained_by_the_fault(install: Install) -> None:
    install("recapito-acme", {"acme_plugin": "raise RuntimeError('boom')"}, entry=("acme", "acme_plugin"))
    with pytest.raises(LookupError, match="boom"):
        Plugins.load().info("acme")
