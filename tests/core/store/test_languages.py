"""What is wrong with a store or its keys is said in the reader's language."""

from pathlib import Path

import pytest

from recapito import Misconfigured, Secret, Store
from recapito.store.keys import parsed


@pytest.mark.parametrize(
    ("url", "english", "italian"),
    [
        ("mysql://x", "mysql is not supported", "mysql non va"),
        ("sqlite:///:memory:", "is a plain file", "è un file normale"),
        ("sqlite:///{folder}/none/store.db", "There is no such folder", "Questa cartella non c'è"),
        ("sqlite:///{folder}/x.db?timeout=never", "a number of seconds", "un numero di secondi"),
    ],
)
def test_why_a_store_cannot_be_opened(tmp_path: Path, url: str, english: str, italian: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        Store.open(url.format(folder=tmp_path))
    assert english in str(caught.value.problem.explain("en"))
    assert italian in str(caught.value.problem.explain("it"))


@pytest.mark.parametrize(
    ("keys", "italian"), [("abc", "la numero 1 non è id:chiave"), ("k1:x", "k1 non è di 32 byte in base64")]
)
def test_why_keys_cannot_be_read(keys: str, italian: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parsed(Secret(keys), "RECAPITO_KEYS")
    assert italian in caught.value.problem.explain("it").what
