"""Requests to ``products_recommend`` of a file: a basket per line, its products' numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from naiad.core.schema import Array
from naiad.errors import InvalidInput
from naiad.tasks.sources import read_lines


def read_requests(path: Path | str) -> Iterator[dict[str, Array]]:
    """A request for each line, such as ``17 42``.

    Raises:
        InvalidInput: the file cannot be read, or a line has something that is no number.
    """
    for line in read_lines(Path(path)):
        try:
            products = [int(word) for word in line.split()]
        except ValueError:
            raise InvalidInput(
                f"{path}: {line[:80]!r} is no basket; write the numbers of products, such as 17 42"
            ) from None
        yield {"product": np.array(products, np.int64)}
