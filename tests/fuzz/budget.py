"""Seconds that each of the three fuzzers runs: ``NAIAD_FUZZ_SECONDS``.

The default is long enough to show that they work, or a minute under ``NAIAD_FULL=1``.
"""

from __future__ import annotations

import os
from typing import Final

from tests.support.full import FULL

SECONDS: Final = int(os.environ.get("NAIAD_FUZZ_SECONDS", "60" if FULL else "6"))
