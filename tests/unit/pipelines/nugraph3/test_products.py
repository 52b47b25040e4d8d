"""A product is that of NumPy, and a row's does not depend on the rows beside it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from naiad.pipelines.nugraph3.products import PANEL, pack, product


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(1, 70), st.integers(1, 3 * PANEL), st.integers(0, 99))
def test_a_product_is_that_of_numpy(rows, length, columns, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, length)).astype(np.float32)
    matrix = rng.normal(size=(length, columns)).astype(np.float32)
    # Rows around the result, which must stay as they are.
    memory = np.full((rows + 2, columns), 7, np.float32)
    packed = pack(matrix)
    product(x, packed, memory[1:-1])
    expected = x.astype(np.float64) @ matrix
    np.testing.assert_allclose(memory[1:-1], expected, rtol=1e-5, atol=1e-5 * length)
    assert (memory[[0, -1]] == 7).all()
    for row in range(rows):
        single = np.empty((1, columns), np.float32)
        product(x[row : row + 1], packed, single)
        assert np.array_equal(single[0], memory[row + 1])


def test_matrices_are_packed_each_for_itself():
    matrices = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5)
    packed = pack(matrices)
    assert packed.shape == (2, 1, 3, PANEL)
    assert np.array_equal(packed[..., :5], matrices[:, None])
    assert not packed[..., 5:].any()
