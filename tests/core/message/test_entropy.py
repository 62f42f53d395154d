"""Ids that nobody has used, also in a forked child."""

import os
import re

import pytest

from recapito.entropy import random_hex


def test_each_is_another() -> None:
    assert len({random_hex(8) for _ in range(5_000)}) == 5_000
    assert re.fullmatch("[0-9a-f]{32}", random_hex(16))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_child_has_others_than_its_parent() -> None:
    random_hex(1)
    ours, theirs = os.pipe()
    if not (pid := os.fork()):
        os.write(theirs, random_hex(16).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(ours, 32).decode() != random_hex(16)
    os.close(ours)
    os.close(theirs)
