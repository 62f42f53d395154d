"""The clients of a company: every change of one validated, saved, audited, and what it mended set going again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recapito import settings as models
from recapito.attention import Attention, client_subject, profile_subject
from recapito.catalogue import problem
from recapito.errors import NotFound
from recapito.hookspecs import Change
from recapito.secret import Secret, Secrets

if TYPE_CHECKING:
    from recapito.plugins import Plugins
    from recapito.profile import ProfileKey
    from recapito.signin import ClientInfo
    from recapito.store import ClientRow, Store, StoredClient

__all__ = ["Clients", "SavedClient"]


@dataclass(frozen=True, slots=True)
class SavedClient:
    """A client as it was saved: ``fields`` changed; the profiles ``resumed`` had been paused by it."""

    row: "ClientRow"
    created: bool
    fields: tuple[str, ...]
    resumed: tuple["ProfileKey", ...] = ()


class Clients:
    """The one door for changes of clients, for command line, page and host alike. Blocking; any thread."""

    def __init__(self, store: "Store", plugins: "Plugins") -> None:
        self._store = store
        self._plugins = plugins
        self._attention = Attention(store, plugins)

    def info(self, name: str) -> "ClientInfo":
        """The kind of registration of that name; NotFound (CLIENT-KIND) where no plugin offers it."""
        try:
            return self._plugins.clients[name]
        except KeyError:
            known = ", ".join(sorted(self._plugins.clients)) or "-"
            raise NotFound(problem("CLIENT-KIND", client=name, known=known)) from None

    def listed(self, company: str | None = None) -> "tuple[ClientRow, ...]":
        """All clients, or those of one company; their secrets stay sealed."""
        return self._store.clients(company)

    def get(self, company: str, name: str) -> "ClientRow | None":
        """The company's client of that name, as lists show it; None where it has none."""
        return next((row for row in self._store.clients(company) if row.name == name), None)

    def save(
        self,
        company: str,
        name: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, Secret | str | None],
        *,
        by: str,
    ) -> SavedClient:
        """Validate, save and audit what changes; then let the profiles run again that the client had paused.

        What is not given stays as it is, an empty secret too; a secret that is None, and a setting that is None
        or empty, is taken out. To save what is there already says that the fault was mended elsewhere. Raises
        NotFound (CLIENT-KIND), and Misconfigured with every wrong field in ``fields``.
        """
        info, before = self.info(name), self._store.client(company, name)
        old = before.settings if before else {}
        merged = {key: value for key, value in {**old, **settings}.items() if value not in (None, "")}
        kept, typed = before.secrets if before else Secrets(), _typed(secrets)
        whole = Secrets({key: value for key, value in {**kept, **typed}.items() if value is not None})
        checked, wrong = models.validate(info.settings, merged, whole, package=info.texts)
        if checked is None:
            raise models.misfit(_shown(company, name), wrong)
        written = {key: checked.secrets.get(key) for key in typed}
        fields = _changed(old, checked.settings, kept, written)
        if fields or before is None:
            self._write(company, name, checked.settings, written, by=by, fields=fields, before=before)
        row = self.get(company, name)
        if row is None:  # somebody took it away in this very moment
            raise NotFound(problem("CLIENT-UNKNOWN", client=name, company=company))
        return SavedClient(row, before is None, fields, self._resumed(company, name, by))

    def remove(self, company: str, name: str, *, by: str) -> None:
        """Take the client and its secrets away: its profiles get no tokens. NotFound (CLIENT-UNKNOWN)."""
        self._store.remove_client(company, name, by=by)
        self._attention.solved(client_subject(company, name))

    def _write(
        self,
        company: str,
        name: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, Secret | None],
        *,
        by: str,
        fields: tuple[str, ...],
        before: "StoredClient | None",
    ) -> None:
        from recapito.store import ABSENT

        self._store.save_client(
            company,
            name,
            settings,
            secrets,
            by=by,
            fields=fields,
            expect_revision=before.revision if before else ABSENT,
        )

    def _resumed(self, company: str, name: str, by: str) -> tuple["ProfileKey", ...]:
        keys = self._store.resume_client(company, name, by=by)
        self._attention.solved(client_subject(company, name))
        for key in keys:
            self._attention.solved(profile_subject(key))
            row = self._store.row(key)
            if row is not None and self._plugins.implements("recapito_record_change"):
                self._plugins.record_change(row.profile, Change("resumed", by, datetime.now(UTC)))
        return keys


def _typed(secrets: Mapping[str, Secret | str | None]) -> dict[str, Secret | None]:
    """Those to be written, and those to be taken out."""
    plain = Secrets({name: value for name, value in secrets.items() if value})
    return {**plain, **{name: None for name, value in secrets.items() if value is None}}


def _changed(
    before: Mapping[str, Any], after: Mapping[str, Any], kept: Secrets, written: Mapping[str, Secret | None]
) -> tuple[str, ...]:
    names = sorted({*before, *after})
    fields = [f"settings.{name}" for name in names if before.get(name) != after.get(name)]
    fields += [f"secrets.{name}" for name in sorted(written) if kept.get(name) != written[name]]
    return tuple(fields)


def _shown(company: str, name: str) -> str:
    return f"{company}/{name}" if company else name
