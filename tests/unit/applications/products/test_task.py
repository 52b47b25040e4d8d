from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naiad.applications.products.task import ProductsRecommend, ProductsTask
from naiad.errors import InvalidInput


def test_each_line_of_a_file_is_a_basket(tmp_path: Path) -> None:
    path = tmp_path / "baskets.txt"
    path.write_text("17 42\n\n 3\n")
    for app in (ProductsTask, ProductsRecommend):
        found = app.requests_in(path)
        assert found is not None
        assert [request["product"].tolist() for request in found] == [[17, 42], [3]]


def test_what_is_no_basket_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"'shoes 3' is not a basket; give the num"):
        ProductsTask().parse("shoes 3")
    with pytest.raises(InvalidInput, match=r"products are float64 \[1\]; give a list of whole"):
        ProductsTask().coerce(np.array([0.5]))
