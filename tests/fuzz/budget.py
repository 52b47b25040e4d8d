"""Seconds that each of the three fuzzers runs: ``NAIAD_FUZZ_SECONDS``, 60 by default."""

from __future__ import annotations

import os
from typing import Final

SECONDS: Final = int(os.environ.get("NAIAD_FUZZ_SECONDS", "60"))
