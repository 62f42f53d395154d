"""Where profiles, secrets, states and the audit are kept: SQLite, or PostgreSQL by URL."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recapito.store.attempts import NewAttempt, StoredAttempt
    from recapito.store.audit import AuditRow
    from recapito.store.clients import ClientRow, StoredClient
    from recapito.store.grants import GrantRow, StoredGrant, StoredToken
    from recapito.store.profiles import ABSENT, Opened, ProfileRow, Save
    from recapito.store.state import State
    from recapito.store.store import Store

__all__ = [
    "ABSENT",
    "AuditRow",
    "ClientRow",
    "GrantRow",
    "NewAttempt",
    "Opened",
    "ProfileRow",
    "Save",
    "State",
    "Store",
    "StoredAttempt",
    "StoredClient",
    "StoredGrant",
    "StoredToken",
]

if not TYPE_CHECKING:
    _HOMES = {
        "ABSENT": "profiles",
        "AuditRow": "audit",
        "ClientRow": "clients",
        "GrantRow": "grants",
        "NewAttempt": "attempts",
        "Opened": "profiles",
        "ProfileRow": "profiles",
        "Save": "profiles",
        "State": "state",
        "Store": "store",
        "StoredAttempt": "attempts",
        "StoredClient": "clients",
        "StoredGrant": "grants",
        "StoredToken": "grants",
    }

    def __getattr__(name):
        # SQLAlchemy is loaded by whoever uses the store, not by whoever asks where the key file lies.
        if name in _HOMES:
            from importlib import import_module

            return getattr(import_module(f"recapito.store.{_HOMES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
