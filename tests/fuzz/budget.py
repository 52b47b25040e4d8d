"""How long each of the three fuzzers runs: ``NAIAD_FUZZ_SECONDS``, by default 10 seconds."""

from __future__ import annotations

import os
from typing import Final

SECONDS: Final = int(os.environ.get("NAIAD_FUZZ_SECONDS", "10"))
