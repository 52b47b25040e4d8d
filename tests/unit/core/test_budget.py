import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.core.budget import Budget, group
from naiad.errors import InvalidInput, SchemaError

sizes = st.fixed_dictionaries({"nodes": st.integers(0, 40), "edges": st.integers(0, 40)})


def used(batch):
    return {dim: sum(size[dim] for size in batch) for dim in ("nodes", "edges")}


@given(st.lists(sizes, max_size=30))
def test_groups_keep_the_order_and_the_budget(requests):
    budget = Budget(nodes=50, edges=50, requests=4)
    numbers = group(budget, [{**r, "requests": 1} for r in requests])
    assert [n for batch in numbers for n in batch] == list(range(len(requests)))
    for batch in numbers:
        total = used([requests[n] for n in batch])
        assert len(batch) == 1 or (total["nodes"] <= 50 and total["edges"] <= 50)
        assert len(batch) <= 4


def test_a_request_over_the_limit_is_refused_with_dimension_size_and_limit():
    with pytest.raises(InvalidInput, match="has 12,000 hits; this model takes at most 10,000"):
        Budget(hits=10_000).refuse_oversize({"hits": 12_000})


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(SchemaError, match="nodes=0"):
        Budget(nodes=0)
