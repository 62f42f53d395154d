"""The stand-in for Google, and what gmail_oauth is given there."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gmail_stage import Stage


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage
