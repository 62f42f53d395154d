"""Two companies and their operators at a vendor on paper."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "servers"))

from signing_fixtures import *  # noqa: F403
