"""Values that must not be seen: they show as asterisks, and neither pickle nor compare as text."""

from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

__all__ = ["Secret", "Secrets"]


class Secret:
    """One secret text. :meth:`reveal` is the only way to it: call it where the value is used, bind it to nothing."""

    __slots__ = ("reveal",)

    def __init__(self, value: str) -> None:
        # A closure, so that neither vars(), slots nor a debugger's attribute list hold the text itself.
        self.reveal: Callable[[], str] = lambda: value

    def __repr__(self) -> str:
        return "Secret('**********')"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled: read it again from the store where it is needed")


class Secrets(Mapping[str, Secret]):
    """The secrets of one profile or client, by field name. Plain texts are wrapped on the way in."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Secret | str] | None = None) -> None:
        self._values = {
            name: value if isinstance(value, Secret) else Secret(value)
            for name, value in (values or {}).items()
        }

    def __getitem__(self, name: str) -> Secret:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._values))})"
