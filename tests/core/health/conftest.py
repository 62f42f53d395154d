"""What the acts of signing in are tested with, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "servers"))

from signing_fixtures import *  # noqa: F403
