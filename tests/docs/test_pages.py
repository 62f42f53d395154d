"""What the docs take from the code is what the code says now."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_page_is_stale() -> None:
    """Mended by ``python scripts/pages.py``."""
    command = [sys.executable, str(ROOT / "scripts/pages.py"), "--check"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=55, env={**os.environ, "RECAPITO_LANG": "it"}
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
