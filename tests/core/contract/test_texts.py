"""A phrase has its words in every language, and shows those of whoever reads it."""

import pickle

import pytest

from recapito.catalogue import problem
from recapito.texts import Phrase, translation


def test_it_is_a_string_of_the_process_and_has_the_other_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAPITO_LANG", "en")
    assert (Phrase("is missing"), Phrase("is missing").text("it")) == ("is missing", "manca")
    monkeypatch.setenv("RECAPITO_LANG", "it")
    assert (Phrase("is missing"), Phrase("is missing").text("en")) == ("manca", "is missing")


def test_a_phrase_inside_a_phrase_is_said_in_the_same_language() -> None:
    said = Phrase("is not a secret (known: {known})", known=Phrase("none"))
    assert said.text("it") == "non è un segreto di questo trasporto (ci sono: nessuno)"


def test_what_fills_it_is_never_read_as_a_placeholder() -> None:
    assert Phrase("{name} is there twice", name="{0} {name}").text("en") == "{0} {name} is there twice"
    assert Phrase("a plugin's own {words}").text("it") == "a plugin's own {words}"


def test_it_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(Phrase("is missing")))
    assert (copy, copy.text("it")) == ("is missing", "manca")


def test_as_a_parameter_it_is_shown_in_the_language_of_the_problem() -> None:
    found = problem("KEY-FORMAT", place="x", reason=Phrase("{name} is there twice", name="k1"))
    assert "k1 is there twice" in found.explain("en").what
    assert "k1 c'è due volte" in found.explain("it").what


def test_a_program_may_have_its_transport_in_its_own_file() -> None:
    assert translation("__main__", "it").gettext("x") == "x"
