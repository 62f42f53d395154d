"""One Postfix for all of these tests; where it cannot be had they say why, and CI does not accept that."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "servers"))

import postfix_server


@pytest.fixture(scope="session")
def postfix() -> Iterator[postfix_server.Postfix]:
    if reason := postfix_server.why_not():
        if os.environ.get("RECAPITO_REQUIRE_SERVERS"):
            pytest.fail(f"Postfix is required here: {reason}")
        pytest.skip(f"Postfix: {reason}")
    with postfix_server.postfix() as server:
        yield server
