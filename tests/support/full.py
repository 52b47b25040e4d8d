"""``NAIAD_FULL=1``: also run soaks, sanitizers and long fuzzing."""

from __future__ import annotations

import os
from typing import Final

FULL: Final = os.environ.get("NAIAD_FULL", "0") != "0"
