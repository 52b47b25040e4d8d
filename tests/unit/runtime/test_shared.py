import os
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from naiad.core.schema import Array, Arrays
from naiad.runtime.shared import Arena

arrays = hnp.arrays(
    dtype=st.sampled_from(["<f4", "<i8", "|u1", "|b1", "<f2"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
items = st.lists(st.dictionaries(st.text(max_size=3), arrays, max_size=3), max_size=4)


@pytest.fixture
def pair() -> Iterator[tuple[Arena, Arena]]:
    ours = Arena()
    theirs = Arena(os.dup(ours.fd))
    yield ours, theirs
    ours.close()
    theirs.close()


def travelled(ours: Arena, theirs: Arena, written: Sequence[Arrays]) -> list[dict[str, Array]]:
    """Return the data that another process reads at the given place."""
    layout = ours.write(written)
    memory = theirs.reserve(layout.size)
    return [
        {
            name: np.ndarray(array.shape, array.dtype, memory, own[name]).copy()
            if array.size
            else np.empty(array.shape, array.dtype)
            for name, array in item.items()
        }
        for item, own in zip(written, layout.offsets, strict=True)
    ]


@given(first=items, second=items)
def test_what_one_writes_the_other_reads(first, second):
    ours = Arena()
    theirs = Arena(os.dup(ours.fd))
    for written in (first, second):
        for got, item in zip(travelled(ours, theirs, written), written, strict=True):
            assert got.keys() == item.keys()
            for name, array in item.items():
                np.testing.assert_array_equal(got[name], array)
    ours.close()
    theirs.close()


def test_it_grows_and_the_other_side_follows(pair):
    for size in (10, 3_000_000, 5, 9_000_000):
        array = np.arange(size, dtype=np.float32)
        (item,) = travelled(*pair, [{"x": array}])
        np.testing.assert_array_equal(item["x"], array)


def test_a_large_batch_gives_its_memory_back(pair):
    ours, _ = pair
    ours.write([{"x": np.ones(50_000_000, np.float32)}])
    assert os.fstat(ours.fd).st_blocks * 512 > 190e6
    ours.trim()
    assert os.fstat(ours.fd).st_blocks * 512 <= 65 << 20
