"""A secret shows nowhere but where it is revealed."""

import pickle
import traceback
from typing import Any

import pytest

from recapito import Found, Profile, Secret, Secrets

PLANTED = "s3gr3to-piantato"


def everything_a_debugger_sees(value: Any) -> str:
    slots = [
        getattr(value, name, "") for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())
    ]
    return f"{value!r} {value!s} {value:} {getattr(value, '__dict__', '')} {slots} {dir(value)}"


@pytest.mark.parametrize(
    "holder",
    [
        Secret(PLANTED),
        Secrets({"password": PLANTED}),
        Found(
            Profile.of("anna", sender="anna@example.it", transport="smtp_basic"),
            Secrets({"password": PLANTED}),
        ),
    ],
    ids=["secret", "secrets", "found"],
)
def test_no_view_of_it_shows_the_text(holder: object) -> None:
    assert PLANTED not in everything_a_debugger_sees(holder)


def test_it_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(PLANTED))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secrets({"password": PLANTED}))


def test_a_traceback_with_locals_does_not_show_it() -> None:
    secrets = Secrets({"password": PLANTED})
    try:
        assert secrets["user"]
    except KeyError as exc:
        shown = "".join(traceback.TracebackException.from_exception(exc, capture_locals=True).format())
    # The line above that plants it is source code, not a value.
    assert f"'{PLANTED}'" not in shown


def test_revealed_it_is_the_text_and_compares_by_it() -> None:
    assert Secret(PLANTED).reveal() == PLANTED
    assert Secret(PLANTED) == Secret(PLANTED) != Secret("another")
    assert Secret(PLANTED) != PLANTED
    assert not Secret("")
    assert hash(Secret(PLANTED)) == hash(Secret(PLANTED))
    assert PLANTED not in str(hash(Secret(PLANTED)))
