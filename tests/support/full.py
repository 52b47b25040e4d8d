"""``NAIAD_FULL=1``: also run soaks, sanitizers, long fuzzing, and other long tests."""

from __future__ import annotations

import os
from typing import Final

import pytest

FULL: Final = os.environ.get("NAIAD_FULL", "0") != "0"

full: Final = pytest.mark.skipif(not FULL, reason="takes long: NAIAD_FULL=1")
"""Mark of tests whose parts others test too."""
