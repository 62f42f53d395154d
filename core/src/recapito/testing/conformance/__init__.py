"""What every transport must do. An author subclasses :class:`TransportConformance`, and supplies a bench."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

import pytest

from recapito.testing.bench import Bench
from recapito.testing.conformance.apart import ApartChecks
from recapito.testing.conformance.checking import CheckingChecks
from recapito.testing.conformance.claims import ClaimChecks
from recapito.testing.conformance.failing import FailingChecks
from recapito.testing.conformance.idle import IdleChecks
from recapito.testing.conformance.secrecy import SecrecyChecks
from recapito.testing.conformance.sending import SendingChecks

__all__ = ["TransportConformance", "check_names"]


class TransportConformance(
    SendingChecks, FailingChecks, IdleChecks, ApartChecks, SecrecyChecks, ClaimChecks, CheckingChecks
):
    """The checks. No conftest, no plugin of pytest and no asynchronous test is needed::

        class TestMine(TransportConformance):
            def make_bench(self):
                return MyBench()

    ``unsupported`` maps names of checks (``test_…``) that the far side cannot be made to do to the reason: they
    show as skipped with it. A check that meets what the bench cannot do, undeclared, fails.
    """

    unsupported: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        unknown = sorted(set(cls.unsupported) - set(check_names()))
        if unknown:
            raise TypeError(f"{cls.__name__}.unsupported names no check: {', '.join(unknown)}")
        if not all(cls.unsupported.values()):
            raise TypeError(f"{cls.__name__}.unsupported needs a reason for each check")

    def make_bench(self) -> AbstractContextManager[Bench]:
        """A context manager that gives the bench for one check, behaving, with nothing arrived yet."""
        raise TypeError(f"{type(self).__name__} must have make_bench(), a context manager that gives a Bench")

    @pytest.fixture(autouse=True)
    def _declared(self, request: pytest.FixtureRequest) -> None:
        reason = self.unsupported.get(getattr(request.function, "__name__", ""))
        if reason:
            pytest.skip(f"declared unsupported by {type(self).__name__}: {reason}")

    @pytest.fixture
    def bench(self, _declared: None) -> Iterator[Bench]:
        """The bench of this check."""
        with self.make_bench() as bench:
            yield bench


def check_names() -> tuple[str, ...]:
    """The names of all checks."""
    return tuple(sorted(name for name in dir(TransportConformance) if name.startswith("test_")))
