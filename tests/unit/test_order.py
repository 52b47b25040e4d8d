"""Tests are handed out by file, longest first."""

from __future__ import annotations

from itertools import groupby

import pytest
from tests.support import order
from tests.support.markdown import ROOT


@pytest.mark.parametrize("path", [*order.LONGEST, *order.APART])
def test_named_files_exist(path: str) -> None:
    assert (ROOT / path).is_file()


def test_the_longest_are_first_and_the_others_keep_their_order(request) -> None:
    paths = [item.nodeid.partition("::")[0] for item in request.session.items]
    files = list(dict.fromkeys(paths))
    named = [path for path in order.LONGEST if path in files]
    assert files[: len(named)] == named
    assert [path for path, _ in groupby(paths)] == files
