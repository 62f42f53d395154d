"""How secrets lie in the database: bound to their record, different each time, under a key that fits."""

import logging
import traceback

import pytest
from sqlalchemy import select, text, update

from recapito.errors import Misconfigured
from recapito.profile import Profile
from recapito.store import Store, schema
from recapito.store.location import key_file

TABLE = schema.secret.c


def sealed(store: Store) -> dict[tuple[str, str], bytes]:
    query = select(TABLE.owner, TABLE.field, TABLE.sealed)
    return store.database.read(lambda connection: {(o, f): bytes(s) for o, f, s in connection.execute(query)})


def put(store: Store, owner: str, field: str, value: bytes) -> None:
    change = update(schema.secret).where(TABLE.owner == owner, TABLE.field == field).values(sealed=value)
    store.database.write(lambda connection: connection.execute(change))


def code_of(store: Store, profile: Profile) -> str:
    with pytest.raises(Misconfigured) as caught:
        store.get(profile.key)
    return caught.value.problem.code


def test_the_same_secret_differs_each_time(store: Store, anna: Profile, save) -> None:
    seen = set()
    for _ in range(3):
        save(store, anna, password="one", other="one")
        seen |= set(sealed(store).values())
    assert len(seen) == 6
    assert all(b"one" not in each for each in seen)


def test_swapped_fields_do_not_decrypt(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="one", token="two")
    (one, one_sealed), (two, two_sealed) = sealed(store).items()
    put(store, *one, two_sealed)
    put(store, *two, one_sealed)
    assert code_of(store, anna) == "SECRET-DAMAGED"


def test_swapped_operators_do_not_decrypt(store: Store, anna: Profile, save) -> None:
    bruno = Profile.of("bruno", sender="bruno@example.it", transport="memory")
    save(store, anna, password="one")
    save(store, bruno, password="two")
    (one, one_sealed), (two, two_sealed) = sealed(store).items()
    put(store, *one, two_sealed)
    put(store, *two, one_sealed)
    assert code_of(store, anna) == code_of(store, bruno) == "SECRET-DAMAGED"


def test_a_secret_does_not_decrypt_in_another_store(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="one")
    rename = text("update recapito_store set id = 'another'")
    store.database.write(lambda connection: connection.execute(rename))
    with Store.open(store.database.where.url.render_as_string(hide_password=False)) as other:
        assert other.id == "another"
        # The key's own mark is bound to the store as well.
        assert code_of(other, anna) in {"KEY-WRONG", "SECRET-DAMAGED"}


def test_a_removed_and_remade_profile_has_another_id(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="one")
    [((owner, _), old)] = sealed(store).items()
    store.remove(anna.key, by="test")
    save(store, anna, password="two")
    [((again, field), _)] = sealed(store).items()
    assert again != owner
    put(store, again, field, old)
    assert code_of(store, anna) == "SECRET-DAMAGED"


@pytest.mark.parametrize("at", [0, 1, 5, 20, -1])
def test_any_altered_byte_is_noticed(store: Store, anna: Profile, save, at: int) -> None:
    save(store, anna, password="a longer one")
    [((owner, field), old)] = sealed(store).items()
    altered = bytearray(old)
    altered[at] ^= 1
    put(store, owner, field, bytes(altered))
    assert code_of(store, anna) in {"SECRET-DAMAGED", "KEY-UNKNOWN"}


@pytest.mark.parametrize("value", [b"", b"\1", b"\1\7", b"plain text", b"\2" + bytes(40)])
def test_what_was_never_sealed_is_no_secret(store: Store, anna: Profile, save, value: bytes) -> None:
    save(store, anna, password="one")
    [((owner, field), _)] = sealed(store).items()
    put(store, owner, field, value)
    assert code_of(store, anna) == "SECRET-DAMAGED"


def test_no_failure_shows_a_secret_or_a_key(
    store: Store, anna: Profile, save, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "sqlalchemy.engine", "sqlalchemy.pool"):
        caplog.set_level(logging.DEBUG, name or None)
    store.close()  # an engine asks for its log level when it is made
    save(store, anna, password="pl4nted")
    [((owner, field), old)] = sealed(store).items()
    put(store, owner, field, old[:-1] + bytes([old[-1] ^ 1]))
    with pytest.raises(Misconfigured) as caught:
        store.get(anna.key)
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    key = key_file().read_text().partition(":")[2].strip()
    assert "insert into recapito_secret" in caplog.text.lower(), "the statements are logged"
    for text_shown in (told, caplog.text, repr(store), repr(vars(store)), repr(vars(store._secrets))):
        assert "pl4nted" not in text_shown
        assert key not in text_shown


def test_logged_statements_show_no_values(
    store: Store, anna: Profile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    store.close()
    store.save(anna, {}, by="Marta", action="edited", fields=())
    assert "parameters hidden" in caplog.text
    assert anna.sender not in caplog.text
