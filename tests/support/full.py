"""``NAIAD_FULL=1``: soaks, sanitizers and long fuzzing, too."""

from __future__ import annotations

import os
from typing import Final

FULL: Final = os.environ.get("NAIAD_FULL", "0") != "0"
