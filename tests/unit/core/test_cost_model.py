import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.core.cost_model import Cost, Knee
from naiad.errors import InvalidInput

seconds = st.floats(0, 1e3)
costs = st.builds(
    Cost,
    seconds,
    st.dictionaries(st.text(), seconds),
    st.none() | st.builds(Knee, st.text(), seconds, seconds),
)


@given(costs)
def test_a_cost_survives_json(cost):
    assert Cost.from_json(json.loads(json.dumps(cost.to_json()))) == cost


def test_seconds_are_fixed_and_per_row_and_more_beyond_the_knee():
    cost = Cost(0.5, {"nodes": 0.01, "requests": 0.1}, Knee("nodes", 100, 0.02))
    assert cost.seconds({"nodes": 100, "requests": 2}) == pytest.approx(1.7)
    assert cost.seconds({"nodes": 150, "requests": 2}) == pytest.approx(3.2)
    assert cost.seconds({}) == 0.5


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"fixed": 1, "per": {}, "knee": 3},
        {"fixed": "much", "per": {}, "knee": None},
        {"fixed": -1, "per": {}, "knee": None},
        {"fixed": 0, "per": {"nodes": float("nan")}, "knee": None},
    ],
)
def test_what_is_no_cost_is_refused(data):
    with pytest.raises(InvalidInput, match="cost"):
        Cost.from_json(data)
