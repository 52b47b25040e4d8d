import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from naiad.runtime.shared import Arena

arrays = st.one_of(
    hnp.arrays(
        dtype=st.sampled_from(["<f4", "<i8", "|u1", "|b1", "<f2"]),
        shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    st.lists(st.binary(max_size=5), max_size=4).map(
        lambda values: np.array([*values, None], dtype=object)[:-1]
    ),
)
items = st.lists(st.dictionaries(st.text(max_size=3), arrays, max_size=3), max_size=4)


@pytest.fixture
def pair():
    ours = Arena()
    theirs = Arena(os.dup(ours.fd))
    yield ours, theirs
    ours.close()
    theirs.close()


@given(first=items, second=items)
def test_what_one_writes_the_other_reads(first, second):
    ours = Arena()
    theirs = Arena(os.dup(ours.fd))
    for written in (first, second):
        read = theirs.read(ours.write(written))
        assert [list(item) for item in read] == [list(item) for item in written]
        for got, given_ in zip(read, written, strict=True):
            for name, array in given_.items():
                np.testing.assert_array_equal(got[name], array)
                assert got[name].dtype == array.dtype
                assert got[name].shape == array.shape
    ours.close()
    theirs.close()


def test_it_grows_and_the_other_side_follows(pair):
    ours, theirs = pair
    for size in (10, 3_000_000, 5, 9_000_000):
        array = np.arange(size, dtype=np.float32)
        (item,) = theirs.read(ours.write([{"x": array}]))
        np.testing.assert_array_equal(item["x"], array)


def test_a_large_batch_gives_its_memory_back(pair):
    ours, theirs = pair
    theirs.read(ours.write([{"x": np.ones(50_000_000, np.float32)}]))
    assert os.fstat(ours.fd).st_blocks * 512 > 190e6
    ours.trim()
    assert os.fstat(ours.fd).st_blocks * 512 <= 65 << 20


def test_views_cannot_be_written_to(pair):
    ours, theirs = pair
    (item,) = theirs.read(ours.write([{"x": np.ones(3)}]))
    with pytest.raises(ValueError, match="read-only"):
        item["x"][0] = 2
