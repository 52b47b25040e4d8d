"""The order of tests, and who runs which: whole files, those that take longest first.

A file's servers are started once that way, and no process is left alone with a long file at the
end.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

APART: Final = ("tests/e2e/test_docs.py",)
"""Files whose tests share nothing: each is handed out alone."""

LONGEST: Final = ()
"""Files that take longest, by seconds of a whole run."""


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests by their files' places in ``LONGEST``; the others stay as they are, behind."""
    places = {path: place for place, path in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


class ByFile(LoadScopeScheduling):
    """Hand out files in the order of collection, or tests, where a file's are ``APART``."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return nodeid if path in APART else path
