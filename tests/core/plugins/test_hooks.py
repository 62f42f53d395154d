"""Hooks are called one implementation at a time, in order; what one raises hurts nobody else."""

import logging
from datetime import UTC, datetime
from email.message import EmailMessage
from types import SimpleNamespace
from typing import Any

import pytest

from recapito import Message, Misconfigured, Outcome, Problem, Profile, Receipt, Refused, hookimpl
from recapito.hookspecs import Change, Subject
from recapito.plugins import Plugins

PROFILE = Profile.of("anna", sender="anna@example.it", transport="memory")
MESSAGE = Message(to=["a@example.it"], subject="Fattura")
RECEIPT = Receipt.for_all(("a@example.it",), Outcome.ACCEPTED)


def footer(text: str) -> object:
    class Hooks:
        @hookimpl
        def recapito_prepare_message(self, message: Any) -> Any:
            return message.with_(subject=message.subject + text)

    return Hooks()


def preparing(function: Any) -> object:
    return SimpleNamespace(recapito_prepare_message=hookimpl(function))


def test_each_implementation_gets_the_previous_ones_result_and_the_hosts_come_in_their_order() -> None:
    plugins = Plugins.load(hooks=[footer(" uno"), footer(" due")])
    prepared = plugins.prepare_message(PROFILE, MESSAGE)
    assert isinstance(prepared, Message)
    assert prepared.subject == "Fattura uno due"
    assert MESSAGE.subject == "Fattura"


def test_none_leaves_the_message_as_it_is() -> None:
    plugins = Plugins.load(hooks=[preparing(lambda message: None)])
    assert plugins.prepare_message(PROFILE, MESSAGE) is MESSAGE


def test_an_implementation_may_refuse_with_its_reason() -> None:
    def refuse(profile: Profile) -> None:
        raise Refused(f"{profile.sender} may not write today")

    with pytest.raises(Refused, match=r"anna@example\.it may not write today"):
        Plugins.load(hooks=[preparing(refuse)]).prepare_message(PROFILE, MESSAGE)


@pytest.mark.parametrize("error", [ValueError("secret-looking"), SystemExit(2), GeneratorExit()])
def test_any_other_exception_is_reported_and_the_next_one_still_runs(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(message: Any) -> None:
        raise error

    plugins = Plugins.load(hooks=[preparing(fail), footer(" due")])
    with caplog.at_level(logging.ERROR, "recapito.plugins"):
        prepared = plugins.prepare_message(PROFILE, MESSAGE)
    assert isinstance(prepared, Message)
    assert prepared.subject == "Fattura due"
    assert type(error).__name__ in caplog.text
    assert "SimpleNamespace" in caplog.text


def test_finished_bytes_may_be_refused_but_not_changed(caplog: pytest.LogCaptureFixture) -> None:
    finished = b"From: anna@example.it\r\n\r\nHello\r\n"
    plugins = Plugins.load(hooks=[preparing(lambda message: message + b"footer")])
    assert plugins.prepare_message(PROFILE, finished) == finished
    assert "returned bytes for bytes" in caplog.text


def test_a_result_of_another_kind_is_not_used() -> None:
    plugins = Plugins.load(hooks=[preparing(lambda message: "text")])
    assert plugins.prepare_message(PROFILE, MESSAGE) is MESSAGE


def test_an_email_message_may_be_replaced_by_another() -> None:
    other = EmailMessage()
    plugins = Plugins.load(hooks=[preparing(lambda message: other)])
    assert plugins.prepare_message(PROFILE, EmailMessage()) is other


def test_every_other_hook_reaches_every_implementation() -> None:
    seen: list[tuple[object, ...]] = []

    def watcher() -> object:
        return SimpleNamespace(
            recapito_record_receipt=hookimpl(lambda profile, receipt: seen.append((profile, receipt))),
            recapito_record_change=hookimpl(lambda change: seen.append((change,))),
            recapito_request_attention=hookimpl(lambda subject, problem: seen.append((subject, problem))),
        )

    def failing() -> object:
        def fail(profile: Profile) -> None:
            raise RuntimeError

        return SimpleNamespace(recapito_record_receipt=hookimpl(fail))

    plugins = Plugins.load(hooks=[failing(), watcher(), watcher()])
    change = Change("edited", "admin", datetime.now(UTC), ("sender",))
    subject, problem = Subject("profile", "anna", PROFILE.key), Problem("AUTH-FAILED", Outcome.HELD)
    plugins.record_receipt(PROFILE, RECEIPT)
    plugins.record_change(PROFILE, change)
    plugins.request_attention(subject, problem)
    assert seen == [(PROFILE, RECEIPT)] * 2 + [(change,)] * 2 + [(subject, problem)] * 2


def test_nobody_is_called_where_nobody_implements() -> None:
    plugins = Plugins.load(hooks=[footer("")])
    assert plugins.implements("recapito_prepare_message")
    assert not plugins.implements("recapito_record_change")


@pytest.mark.parametrize(
    ("hooks", "reason"),
    [
        ("erp_that_is_not_there", "ModuleNotFoundError"),
        (SimpleNamespace(recapito_record_receipt=lambda receipt: None), "not marked with @hookimpl"),
        (SimpleNamespace(recapito_register_transports=hookimpl(lambda register: 1 / 0)), "ZeroDivisionError"),
    ],
)
def test_a_fault_in_the_hosts_own_hooks_is_told_at_once(hooks: object, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        Plugins.load(hooks=[hooks])
