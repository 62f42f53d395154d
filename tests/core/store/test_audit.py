"""Who changed what: as true as the change itself, and without a secret."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text

from recapito.profile import Profile, ProfileKey
from recapito.secret import Secret
from recapito.store import AuditRow, Save, Store


def test_every_change_is_noted(store: Store, anna: Profile, paused) -> None:
    before = datetime.now(UTC)
    store.save(
        anna, {"password": Secret("x")}, by="Marta", action="created", fields=["sender", "secrets.password"]
    )
    store.pause(anna.key, paused, by="mailer")
    store.resume(anna.key, by="Marta")
    store.remove(anna.key, by="Marta")
    rows = store.audit()
    assert [(row.by, row.action) for row in rows] == [
        ("Marta", "removed"),
        ("Marta", "resumed"),
        ("mailer", "paused"),
        ("Marta", "created"),
    ]
    assert {row.key for row in rows} == {anna.key}
    assert rows[-1].fields == ("sender", "secrets.password")
    assert rows[2].detail == {"code": "AUTH-FAILED"}
    assert all(before <= row.at <= datetime.now(UTC) for row in rows)


def test_it_can_be_asked_about_one_company_or_operator(store: Store, save) -> None:
    for key in (ProfileKey("", "anna"), ProfileKey("acme", "anna"), ProfileKey("acme", "bruno")):
        save(store, Profile(key, sender="x@example.it", transport="memory"))

    def keys(**asked: object) -> list[str]:
        return [str(row.key) for row in store.audit(**asked)]  # type: ignore[arg-type]

    assert keys() == ["acme/bruno", "acme/anna", "anna"]
    assert keys(company="acme") == ["acme/bruno", "acme/anna"]
    assert keys(company="") == ["anna"]
    assert keys(operator="anna") == ["acme/anna", "anna"]
    assert keys(limit=1) == ["acme/bruno"]


def test_a_change_that_failed_is_not_noted(store: Store, anna: Profile) -> None:
    engine = store.database.engine

    def fail_at_audit(connection, cursor, statement, *rest: object) -> None:
        if statement.lower().startswith("insert into recapito_audit"):
            raise RuntimeError("the audit cannot be written")

    event.listen(engine, "before_cursor_execute", fail_at_audit)
    with pytest.raises(RuntimeError):
        store.save(anna, {"password": Secret("x")}, by="x", action="created", fields=())
    event.remove(engine, "before_cursor_execute", fail_at_audit)
    assert store.get(anna.key) is None, "what cannot be noted does not happen"
    assert store.audit() == ()


def test_no_row_of_any_table_holds_a_secrets_value(store: Store, anna: Profile) -> None:
    secret = {"password": Secret("pl4nted")}
    store.save(anna, secret, by="x", action="edited", fields=["secrets.password"])
    store.save_many([Save(anna, secret, "edited", ["secrets.password"])], by="x")
    tables = ("audit", "profile", "secret", "store", "key")
    for table in tables:
        rows = store.database.read(
            lambda connection, table=table: connection.execute(text(f"select * from recapito_{table}")).all()
        )
        assert rows
        assert "pl4nted" not in repr(rows)
        assert b"pl4nted" not in b"".join(
            bytes(each) for row in rows for each in row if isinstance(each, bytes)
        )


def test_a_name_that_cannot_be_stored_is_noted_as_far_as_possible(
    store: Store, anna: Profile, paused
) -> None:
    store.save(anna, {}, by="mar\udce0\0", action="edited", fields=())
    store.pause(anna.key, paused, by="mar\udce0\0")
    assert {row.by for row in store.audit()} == {"mar?\ufffd"}
    assert isinstance(store.audit()[0], AuditRow)
