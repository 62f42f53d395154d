"""What the store remembers of a profile: whether it has worked as it is now."""

from typing import TYPE_CHECKING

from recapito.errors import RecapitoError
from recapito.outcome import Outcome

if TYPE_CHECKING:
    from recapito.ledger.journal import Journal
    from recapito.profile import ProfileKey
    from recapito.store import AuditRow, Store

__all__ = ["has_worked"]

#: Of a profile's last sends and changes, how many are looked at.
_LOOKED_AT = 50


def has_worked(store: "Store", journal: "Journal", key: "ProfileKey") -> bool | None:
    """Whether a server accepted a message since the profile's way of sending last changed; None: not known.

    A host that worked yesterday and is not found today is a passing failure; one that never worked is a typing
    error. A password that worked before was changed by the provider, or expired.
    """
    try:
        changes = [row for row in store.audit(key.company, key.operator, _LOOKED_AT) if row.key == key]
        changed = next((row.at for row in changes if _matters(row)), None)
        return any(
            row.outcome is Outcome.ACCEPTED and (changed is None or row.started >= changed)
            for row in journal.recent(key, limit=_LOOKED_AT)
        )
    except RecapitoError:
        return None


def _matters(row: "AuditRow") -> bool:
    return any(field.partition(".")[0] in {"transport", "settings", "secrets"} for field in row.fields)
