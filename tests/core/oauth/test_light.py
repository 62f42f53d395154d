"""The toolkit loads what is used, when it is used."""

import subprocess
import sys

import pytest

import recapito.oauth


def loaded_by(code: str, *looked_for: str) -> set[str]:
    show = f"import sys; {code}; print(*({{*{looked_for!r}}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_nothing_that_speaks_http_is_loaded_before_something_does() -> None:
    code = (
        "from recapito.oauth import *;"
        "checked_token('abc', 60); challenge(new_verifier()); Streamed(0, iter); Endpoints();"
        "CodeSignIn('acme', frozenset(), Endpoints())"
    )
    heavy = ("httpx2", "aiosmtplib", "sqlalchemy", "msal", "google.auth")
    assert loaded_by("import recapito.oauth", "h11", "pydantic", "recapito.smtp", *heavy) == set()
    assert loaded_by(code, *heavy) == set()
    light = "from recapito.oauth import checked_token, challenge, CodeSignIn, explained, id_token_claims"
    assert loaded_by(light, "h11", "recapito.smtp", "recapito.oauth.http", *heavy) == set()
    assert loaded_by("from recapito.oauth import Http", "h11", *heavy) == {"h11"}


@pytest.mark.parametrize("name", recapito.oauth.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(recapito.oauth, name).__doc__
    assert name in dir(recapito.oauth)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Htpp'"):
        recapito.oauth.Htpp  # type: ignore[attr-defined]  # noqa: B018
