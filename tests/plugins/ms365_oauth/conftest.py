"""The stand-in for Microsoft, and what ms365_oauth is given there."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ms365_stage import Microsoft, Stage


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def registered() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture
def microsoft(registered: Stage) -> Microsoft:
    return registered.microsoft
