"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine may take long over any one example; the suite's own timeout catches a hang.
settings.register_profile("naiad", deadline=None, max_examples=60)
settings.load_profile("naiad")

_SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real events, weights and reference outputs, kept beside the checkout and never in it."""
    if not _SHARED.is_dir():
        pytest.skip(f"the reference data is not at {_SHARED}")
    return _SHARED
