"""Bad events are refused with the tensor, the position, the value and the valid range."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.applications.nugraph.graphs import Arrays, event

from naiad.applications.nugraph.schema import INPUTS, OUTPUTS, PLANES, SAMPLE
from naiad.core.schema import check_schema, validate
from naiad.errors import InvalidInput


@pytest.fixture
def arrays() -> Arrays:
    return event()


def refuse(arrays: Arrays, *words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate(INPUTS, arrays)
    for word in words:
        assert word in str(caught.value)


def test_the_wire_contract_is_that_of_existing_clients():
    assert {name: (t.triton, t.config_dims) for name, t in INPUTS.items()} == {
        "hit_table_hit_id": ("INT32", (-1,)),
        "hit_table_local_plane": ("INT32", (-1,)),
        "hit_table_local_time": ("FP32", (-1,)),
        "hit_table_local_wire": ("INT32", (-1,)),
        "hit_table_integral": ("FP32", (-1,)),
        "hit_table_rms": ("FP32", (-1,)),
        "spacepoint_table_spacepoint_id": ("INT32", (-1,)),
        "spacepoint_table_hit_id_u": ("INT32", (-1,)),
        "spacepoint_table_hit_id_v": ("INT32", (-1,)),
        "spacepoint_table_hit_id_y": ("INT32", (-1,)),
    }
    assert {name: (t.triton, t.config_dims) for name, t in OUTPUTS.items()} == {
        "e_evt": ("FP32", (4,)),
        "v_evt": ("FP32", (1, 3)),
        **{f"x_semantic_{p}": ("FP32", (-1, 7)) for p in PLANES},
        **{f"x_filter_{p}": ("FP32", (-1,)) for p in PLANES},
        "unknown_hits": ("INT32", (1,)),
    }


@pytest.mark.parametrize("schema", [INPUTS, SAMPLE])
def test_the_schemas_are_consistent(schema):
    check_schema(schema)


def test_a_good_event_passes(arrays):
    assert validate(INPUTS, arrays) == {"requests": 1, "hits": 60, "spacepoints": 30}


def test_an_empty_event_passes():
    empty = event((0, 0, 0), 0)
    assert validate(INPUTS, empty) == {"requests": 1, "hits": 0, "spacepoints": 0}


@pytest.mark.parametrize("plane", [3, -1])
def test_an_unknown_plane_is_refused(arrays, plane):
    arrays["hit_table_local_plane"][17] = plane
    refuse(arrays, f"hit_table_local_plane[17] is {plane}", "0 (u), 1 (v) or 2 (y)")


@pytest.mark.parametrize("column", ["local_time", "integral", "rms"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(arrays, column, value):
    arrays[f"hit_table_{column}"][4] = value
    refuse(arrays, f"hit_table_{column}[4] is {value:g}", "finite")


def test_a_repeated_hit_id_is_refused(arrays):
    arrays["hit_table_hit_id"][9] = arrays["hit_table_hit_id"][2]
    refuse(arrays, "hit_table_hit_id[9]", "hit_table_hit_id[2]", "unique")


def test_a_charge_above_the_limit_names_the_limit(arrays):
    arrays["hit_table_integral"][3] = 2e6
    refuse(arrays, "hit_table_integral[3] is 2e+06", "at most 1e+06 ADC")
    arrays["hit_table_integral"][3] = 1e6
    validate(INPUTS, arrays)


def test_a_spacepoint_may_have_no_hit_but_not_a_negative_one(arrays):
    arrays["spacepoint_table_hit_id_v"][5] = -1
    validate(INPUTS, arrays)
    arrays["spacepoint_table_hit_id_v"][5] = -2
    refuse(arrays, "spacepoint_table_hit_id_v[5] is -2", "at least -1")


def test_columns_of_different_length_are_refused(arrays):
    arrays["hit_table_rms"] = arrays["hit_table_rms"][:-1]
    refuse(arrays, "hit_table_rms has 59 hits", "60")


def test_a_missing_column_a_wrong_type_and_a_wrong_rank_are_refused(arrays):
    refuse({k: v for k, v in arrays.items() if k != "hit_table_rms"}, "hit_table_rms", "missing")
    wrong = arrays["hit_table_local_wire"].astype(np.int64)
    refuse({**arrays, "hit_table_local_wire": wrong}, "local_wire is int64", "int32")
    refuse({**arrays, "hit_table_rms": arrays["hit_table_rms"][:, None]}, "rms has shape [60, 1]")
