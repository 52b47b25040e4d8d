import re

import numpy as np
import pytest

from naiad.core.schema import (
    Tensor,
    check_schema,
    fill_defaults,
    measure,
    sized_dims,
    validate,
)
from naiad.errors import InvalidInput, SchemaError

HITS = {
    "hit_id": Tensor("int32", ("hits",), unique=True),
    "plane": Tensor("int32", ("hits",), categories={0: "u", 1: "v", 2: "y"}),
    "charge": Tensor("float32", ("hits",), maximum=1e6, unit="ADC"),
    "edges": Tensor("int64", (2, "edges"), index_into="hits"),
    "nexus": Tensor("int64", (2, "nexus"), index_into=("hits", "points")),
    "points": Tensor("float32", ("points", 3)),
    "weight": Tensor("float32", ("hits",), optional=True, default=1.0),
}


def good():
    return {
        "hit_id": np.array([4, 7, 9], np.int32),
        "plane": np.array([0, 1, 2], np.int32),
        "charge": np.array([1, 2, 3], np.float32),
        "edges": np.array([[0, 1], [1, 2]]),
        "nexus": np.array([[0, 2], [1, 0]]),
        "points": np.zeros((2, 3), np.float32),
    }


def test_a_good_request_gives_the_size_of_every_dimension():
    sizes = validate(HITS, good())
    assert sizes == {"requests": 1, "hits": 3, "edges": 2, "nexus": 2, "points": 2}


def test_what_is_in_a_tensor_is_counted_where_it_says_so():
    schema = {
        "files": Tensor("bytes", ("files", 1), counts="bytes"),
        "more": Tensor("bytes", ("requests",), optional=True, counts="bytes"),
        "voxels": Tensor("float32", ("files", 2, 3), counts="voxels"),
    }
    arrays = {
        "files": np.array([[b"four"], [b""], [b"\0\0"]], object),
        "voxels": np.zeros((3, 2, 3), np.float32),
    }
    assert validate(schema, arrays) == {"requests": 1, "files": 3, "bytes": 6, "voxels": 18}
    arrays["more"] = np.array([b"123"], object)
    assert validate(schema, arrays)["bytes"] == 9
    assert sized_dims(schema) == ["files", "requests", "files", "bytes", "bytes", "voxels"]
    with pytest.raises(SchemaError, match="voxels: counts='files' is a dimension"):
        check_schema(schema | {"voxels": Tensor("float32", (3,), counts="files")})


def test_an_optional_tensor_is_filled_with_its_default():
    arrays = good()
    filled = fill_defaults(HITS, arrays, validate(HITS, arrays))
    assert filled["weight"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("plane", np.array([0, 3, 1], np.int32), "plane[1] is 3; it must be 0 (u), 1 (v) or 2 (y)"),
        (
            "plane",
            np.array([0, -1, 1], np.int32),
            "plane[1] is -1; it must be 0 (u), 1 (v) or 2 (y)",
        ),
        ("charge", np.array([1, np.nan, 2], np.float32), "charge[1] is nan; it must be finite"),
        ("charge", np.array([1, 2, -np.inf], np.float32), "charge[2] is -inf; it must be finite"),
        (
            "charge",
            np.array([2e6, 1, 2], np.float32),
            "charge[0] is 2e+06; it must be at most 1e+06 ADC",
        ),
        (
            "hit_id",
            np.array([4, 7, 4], np.int32),
            "hit_id[2] is 4, as is hit_id[0]; values must be unique",
        ),
        (
            "edges",
            np.array([[0, 1], [1, 3]]),
            "edges[1, 1] is 3; it must be 0 to 2: there are 3 hits",
        ),
        (
            "nexus",
            np.array([[0, 2], [1, 2]]),
            "nexus[1, 1] is 2; it must be 0 to 1: there are 2 points",
        ),
        ("nexus", np.array([[0, -1], [1, 1]]), "nexus[0, 1] is -1; it must be 0 to 2"),
        ("charge", np.zeros(3), "charge is float64; it must be float32"),
        ("charge", np.zeros(2, np.float32), "charge has 2 hits, but hit_id has 3; they must be"),
        ("points", np.zeros((2, 2), np.float32), "points has shape [2, 2]; it must be [points, 3]"),
        ("points", np.zeros(2, np.float32), "points has shape [2]; it must be [points, 3]"),
        ("extra", np.zeros(2, np.float32), "unknown input 'extra'; the inputs are hit_id, plane"),
    ],
)
def test_a_bad_value_is_named_with_what_is_right(name, value, message):
    with pytest.raises(InvalidInput) as error:
        validate(HITS, good() | {name: value})
    assert message in str(error.value)


def test_a_missing_input_is_named():
    arrays = good()
    del arrays["plane"]
    with pytest.raises(InvalidInput, match=r"input 'plane' is missing; it must be int32 \[hits\]"):
        validate(HITS, arrays)


def test_an_index_into_an_empty_dimension_is_refused():
    schema = {
        "x": Tensor("float32", ("nodes", 2)),
        "e": Tensor("int64", (2, "edges"), index_into="nodes"),
    }
    arrays = {"x": np.zeros((0, 2), np.float32), "e": np.zeros((2, 1), np.int64)}
    with pytest.raises(InvalidInput, match=r"e\[0, 0\] is 0; it must be absent: no nodes"):
        validate(schema, arrays)


def test_empty_tensors_are_fine():
    empty = {
        name: np.zeros([0 if isinstance(d, str) else d for d in t.dims], t.numpy)
        for name, t in HITS.items()
    }
    assert validate(HITS, empty)["hits"] == 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("float31", ("n",)), {}, "dtype 'float31' is not one of"),
        (("float32", (0,)), {}, "give a size > 0"),
        (("float32", ("n",)), {"index_into": "n"}, "needs an integer dtype"),
        (("int64", (3, "e")), {"index_into": ("a", "b")}, "names 2 rows"),
        (("int64", ("e",)), {"default": 1}, "must be optional"),
    ],
)
def test_an_impossible_tensor_is_refused_when_it_is_declared(arguments, options, message):
    with pytest.raises(SchemaError, match=message):
        Tensor(*arguments, **options)


def test_an_index_into_no_dimension_is_refused():
    with pytest.raises(SchemaError, match="index_into='nodes' is not a dimension"):
        check_schema({"e": Tensor("int64", (2, "edges"), index_into="nodes")})


def test_an_adjacency_matrix_cannot_be_merged_and_is_refused():
    with pytest.raises(SchemaError, match="can be merged along one dimension only"):
        check_schema({"a": Tensor("float32", ("nodes", "nodes"))})


def test_scalars_have_a_size_of_one_in_the_config():
    assert Tensor("float32", ()).config_dims == (1,)
    assert Tensor("float32", ("requests", 4)).config_dims == (1, 4)
    assert Tensor("float32", (2, "edges")).config_dims == (2, -1)
    assert Tensor("float32", ("requests", 4), declared=(4,)).config_dims == (4,)
    assert measure({"s": Tensor("float32", ())}, {"s": np.float32(1).reshape(())}) == {
        "requests": 1
    }


def test_a_dimension_of_which_nothing_is_sent_may_not_be_huge():
    schema = {
        "table": Tensor("float32", ("rows", "columns")),
        "weights": Tensor("float32", ("columns",), optional=True, default=1.0),
    }
    assert validate(schema, {"table": np.zeros((0, 300), np.float32)})["columns"] == 300
    huge = np.zeros((0, 2**40), np.float32)
    with pytest.raises(InvalidInput, match=r"table has 1,099,511,627,776 columns but no values"):
        validate(schema, {"table": huge})


@pytest.mark.parametrize("dims", ["nodes", 3, None])
def test_dims_that_are_no_tuple_are_refused(dims):
    with pytest.raises(SchemaError, match=re.escape(f"it must be a tuple, such as ({dims!r},)")):
        Tensor("float32", dims)
