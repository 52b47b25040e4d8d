"""Texts of similar length are run together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from naiad.applications.text.embedding.buckets import buckets


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 200), st.integers(0, 30))
def test_each_text_is_in_one_run_which_keeps_to_the_budget_and_wastes_little(
    sizes: list[int], most: int, run_cost: int
):
    lengths = np.array(sizes, np.int32)
    runs = buckets(lengths, most, run_cost)
    found = np.concatenate([*runs, np.zeros(0, np.int64)])
    assert sorted(found) == np.flatnonzero(lengths).tolist()
    for run in runs:
        rectangle = len(run) * lengths[run].max()
        assert len(run) == 1 or rectangle <= most
        assert rectangle - lengths[run].sum() <= run_cost


def test_without_need_nothing_is_cut():
    assert [len(run) for run in buckets(np.full(50, 7))] == [50]
    assert [run.tolist() for run in buckets(np.array([5, 200, 6, 198]))] == [[1, 3], [2, 0]]
