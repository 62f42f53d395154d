"""Codes, the problems made from them, and what the catalogue costs to load."""

import re
import subprocess
import sys

import pytest

from recapito.catalogue import builtin, find_code, known_codes, problem
from recapito.errors import NotFound
from recapito.outcome import Outcome
from recapito.problem import Scope, Who
from recapito.texts import LANGUAGES


def test_a_problem_has_what_its_code_says() -> None:
    found = problem("RCPT-UNKNOWN", rcpt="a@x.it", reply="550 no", step="recipient", host="mx.x.it")
    assert (found.outcome, found.who, found.scope) == (Outcome.REFUSED, Who.OPERATOR, Scope.MESSAGE)
    assert (found.params, found.reply, found.step, found.host) == (
        {"rcpt": "a@x.it"},
        "550 no",
        "recipient",
        "mx.x.it",
    )


def test_the_outcome_may_be_said() -> None:
    assert problem("NET-DNS", outcome=Outcome.NOT_SENT).outcome is Outcome.NOT_SENT


def test_parameters_are_text_or_numbers_and_none_is_left_out() -> None:
    found = problem("NET-BLOCKED", port=465, list=("a", 1), hint=None)
    assert found.params == {"port": 465, "list": "('a', 1)"}


def test_an_unknown_code_is_named_with_the_remedy() -> None:
    with pytest.raises(NotFound, match=r"CODE-UNKNOWN.*NO-SUCH"):
        problem("NO-SUCH")
    with pytest.raises(NotFound):
        find_code("NO-SUCH")


def test_no_code_claims_that_a_message_was_accepted() -> None:
    assert {code.outcome for code in known_codes().values()} <= set(Outcome) - {Outcome.ACCEPTED}


def test_a_limit_or_a_refused_message_pauses_nobody() -> None:
    assert not problem("LIMIT-DAILY").pauses
    assert not problem("RCPT-UNKNOWN").pauses
    assert problem("AUTH-FAILED").pauses
    assert problem("OAUTH-APP-SECRET").scope is Scope.CLIENT


def test_the_catalogue_lists_and_finds_codes() -> None:
    assert builtin().codes is known_codes()
    assert builtin().code("UNCERTAIN").outcome is Outcome.UNKNOWN


def test_an_optional_part_is_shown_only_with_its_value() -> None:
    assert (
        problem("NET-DNS", host="x", missing=1, hint="smtp.x.it")
        .explain("en")
        .do.startswith("Did you mean smtp.x.it? Correct")
    )
    assert problem("NET-DNS", host="x", missing=1).explain("en").do.startswith("Correct the name")
    assert problem("NET-DNS", host="x", passing=1, hint="").explain("en").do.startswith("Send again")


# What is left of a text whose values are not known: two blanks, a colon before nothing, empty quotes, "da :".
CUT_OFF = re.compile(r"  |\s[.,;:!?](\s|$)|:\s*$|:[.…]|: …|«»|\"\"|\(\s*\)|…\.|[{}]|\[\[|\]\]|^[.…]*$|^[:,;]")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", known_codes())
def test_every_code_reads_as_whole_sentences_without_any_parameter(code: str, language: str) -> None:
    said = problem(code).explain(language)
    assert said.do
    for text in (said.what, said.do, *([said.why] if said.why else [])):
        assert CUT_OFF.search(text) is None, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_server_is_shown_as_a_gap(language: str) -> None:
    assert "…" in problem("NET-LOST").explain(language).what
    assert "mx.x.it" in problem("NET-LOST", host="mx.x.it").explain(language).what


def test_a_part_may_ask_that_there_is_no_value() -> None:
    said = problem("NET-BLOCKED", host="mx.x.it").explain("it")
    assert said.what == "Nessuna risposta da mx.x.it."
    assert (
        problem("NET-BLOCKED", host="mx.x.it", port=465).explain("it").what
        == "Nessuna risposta da mx.x.it:465."
    )


def test_a_value_that_looks_like_a_placeholder_is_shown_as_it_is() -> None:
    said = problem("REPLY-PERMANENT", reply="[[{rcpt}]]", rcpt="{reply}").explain("en").what
    assert said == "The server refused {reply}. It says: [[{rcpt}]]"


def test_making_a_problem_reads_neither_providers_nor_rules() -> None:
    script = (
        "from recapito.catalogue import builtin, problem\n"
        "from recapito.catalogue.reading import builtin_providers, builtin_rules\n"
        "builtin(); problem('UNCERTAIN')\n"
        "print(builtin_providers.cache_info().currsize, builtin_rules.cache_info().currsize)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=50
    )
    assert ran.stdout.split() == ["0", "0"]
