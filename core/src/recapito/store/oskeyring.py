"""Keys in the operating system's keyring (extra ``keyring``), which a person's session unlocks."""

from importlib import import_module
from typing import Any

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.secret import Secret

__all__ = ["OsKeyring"]

_SERVICE, _USER = "recapito", "keys"


class OsKeyring:
    """Keys as one password of the keyring. ``backend`` has ``get_password`` and ``set_password``."""

    place = "the OS keyring"

    def __init__(self, backend: Any = None) -> None:
        self._backend = backend or _installed()

    def read(self) -> Secret | None:
        """The stored keys. Raises Misconfigured (KEY-SOURCE) where the keyring does not open."""
        try:
            text = self._backend.get_password(_SERVICE, _USER)
        except Exception as exc:
            raise self._fault(exc) from exc
        return Secret(text) if text else None

    def add(self, key: Secret, *, only_first: bool = False) -> bool:
        """Store the keys with this one in front."""
        present = self.read()
        if only_first and present:
            return True
        both = Secret(key.reveal() + (f"\n{present.reveal()}" if present else ""))
        fault = None
        try:
            self._backend.set_password(_SERVICE, _USER, both.reveal())
        except Exception as exc:  # noqa: BLE001 - each backend raises its own
            fault = self._fault(exc)
            fault.__cause__ = exc.with_traceback(None)  # its frames held the keys
        if fault is not None:
            raise fault
        return True

    def _fault(self, exc: Exception) -> Misconfigured:
        reason = (str(exc).splitlines() or [type(exc).__name__])[0]
        return Misconfigured(problem("KEY-SOURCE", place=self.place, reason=reason))


def _installed() -> Any:
    try:
        return import_module("keyring")
    except ModuleNotFoundError as exc:
        command = "pip install 'recapito[keyring]'"
        raise Misconfigured(
            problem("EXTRA-MISSING", module="keyring", extra="keyring", command=command)
        ) from exc
