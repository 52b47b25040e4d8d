from __future__ import annotations

from pathlib import Path

import pytest

from naiad.applications.products.baskets import read_requests
from naiad.errors import InvalidInput


def test_each_line_of_a_file_is_a_basket(tmp_path: Path) -> None:
    path = tmp_path / "baskets.txt"
    path.write_text("17 42\n\n 3\n")
    assert [request["product"].tolist() for request in read_requests(path)] == [[17, 42], [3]]


def test_what_is_no_basket_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baskets.txt"
    path.write_text("17\nshoes 3\n")
    with pytest.raises(InvalidInput, match=r"baskets\.txt: 'shoes 3' is no basket; write the num"):
        list(read_requests(path))
