"""The blocking client is the asyncio client without the words of asyncio."""

from __future__ import annotations

import re

import pytest
from scripts.blocking import CLIENT, TARGETS, blocking


@pytest.mark.parametrize("target", TARGETS)
def test_the_blocking_client_is_made_from_the_asyncio_one(target: str) -> None:
    text = (CLIENT / target).read_text("utf-8")
    made = blocking(CLIENT / TARGETS[target], CLIENT / target)
    assert text == made, "run python scripts/blocking.py"
    assert not re.search("async|await|Async|aio(?!.py by)", text)
