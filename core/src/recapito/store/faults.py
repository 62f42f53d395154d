"""What a database's error means: a problem that names the database and the remedy."""

from typing import TYPE_CHECKING, Any

from recapito.catalogue import problem
from recapito.errors import Misconfigured

if TYPE_CHECKING:
    from recapito.store.where import Where

__all__ = ["explained", "missing_driver"]

# By the beginning of sqlite3's own names: SQLITE_BUSY_SNAPSHOT is a SQLITE_BUSY.
_SQLITE = {
    "SQLITE_BUSY": "STORE-LOCKED",
    "SQLITE_LOCKED": "STORE-LOCKED",
    "SQLITE_READONLY": "STORE-READONLY",
    "SQLITE_PERM": "STORE-READONLY",
    "SQLITE_AUTH": "STORE-READONLY",
    "SQLITE_FULL": "STORE-FULL",
    "SQLITE_NOTADB": "STORE-NOT-OURS",
    "SQLITE_CORRUPT": "STORE-DAMAGED",
    "SQLITE_CANTOPEN": "STORE-CANNOT-OPEN",
    "SQLITE_IOERR": "STORE-DISK",
}

# By the beginning of SQLSTATE; the longest that fits decides.
_POSTGRES = {
    "53100": "STORE-FULL",
    "53": "STORE-UNREACHABLE",
    "25006": "STORE-READONLY",
    "42501": "STORE-READONLY",
    "55P03": "STORE-LOCKED",
    "57014": "STORE-LOCKED",
    "40": "STORE-LOCKED",
    "42P01": "STORE-MISSING",
    "3F000": "STORE-MISSING",
    "XX": "STORE-DAMAGED",
    "08": "STORE-UNREACHABLE",
    "28": "STORE-UNREACHABLE",
    "3D": "STORE-UNREACHABLE",
    "57P": "STORE-UNREACHABLE",
}


def explained(error: BaseException, where: "Where") -> Misconfigured:
    """The error to raise for a driver's ``error``; SQLAlchemy's wrapper is taken off.

    Its cause has no traceback: a driver's frames held the database's password.
    """
    original: Any = getattr(error, "orig", None) or error
    code = _code(original)
    reason = (str(original).strip().splitlines() or [type(original).__name__])[0]
    found = Misconfigured(problem(code, database=where.shown, reason=reason, seconds=f"{where.patience:g}"))
    cause = original.with_traceback(None)
    cause.__cause__ = cause.__context__ = None
    found.__cause__ = cause
    return found


def missing_driver() -> Misconfigured:
    """The error for a PostgreSQL URL where psycopg is not installed."""
    return Misconfigured(
        problem(
            "EXTRA-MISSING", module="psycopg", extra="postgres", command="pip install 'recapito[postgres]'"
        )
    )


def _code(error: Any) -> str:
    name = getattr(error, "sqlite_errorname", None)
    if name:
        return next((code for start, code in _SQLITE.items() if name.startswith(start)), "STORE-FAILED")
    state = getattr(error, "sqlstate", None)
    if state:
        fits = [start for start in _POSTGRES if state.startswith(start)]
        return _POSTGRES[max(fits, key=len)] if fits else "STORE-FAILED"
    # psycopg reports what fails before the server answers without a SQLSTATE.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return "STORE-UNREACHABLE" if "OperationalError" in kinds else "STORE-FAILED"
