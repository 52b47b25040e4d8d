"""The blocking clients are the asyncio clients without the words of asyncio."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts.blocking import SOURCES, blocking
from tests.support.markdown import ROOT


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_blocking_client_is_made_from_the_asyncio_one(source: Path) -> None:
    text = source.with_name("client.py").read_text("utf-8")
    assert text == blocking(source), "run python scripts/blocking.py"
    assert not re.search("async|await|Async|aio(?!.py by)", text)
