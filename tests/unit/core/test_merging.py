import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.strategies import GRAPH, graphs

from naiad.core.merging import collate, signature, split
from naiad.core.schema import Tensor, measure, validate
from naiad.errors import PipelineError


def merge(requests):
    return collate(GRAPH, requests, [validate(GRAPH, r) for r in requests])


def sizes_of(batch):
    return {dim: batch.sizes(dim) for dim in batch.totals()}


@given(st.lists(graphs(), min_size=1, max_size=5))
def test_split_undoes_collate(requests):
    batch = merge(requests)
    shares = split(GRAPH, dict(batch), sizes_of(batch), batch.requests)
    assert len(shares) == len(requests)
    for share, request in zip(shares, requests, strict=True):
        assert share.keys() == request.keys()
        for name in GRAPH:
            np.testing.assert_array_equal(share[name], request[name], err_msg=name)
            assert share[name].dtype == request[name].dtype
            assert share[name].shape == request[name].shape


@given(st.lists(graphs(), min_size=1, max_size=5))
def test_merged_edges_join_the_nodes_they_joined_before(requests):
    batch = merge(requests)
    offset = 0
    for number, request in enumerate(requests):
        mine = batch.index("plane_edges") == number
        edges = batch["plane_edge"][:, mine]
        np.testing.assert_array_equal(
            batch["x_hit"][edges], request["x_hit"][request["plane_edge"]]
        )
        assert (batch.index("hits")[edges] == number).all()
        offset += len(request["x_hit"])
    assert offset == batch.total("hits")


@given(st.lists(graphs(), min_size=1, max_size=5))
def test_an_index_into_requests_becomes_the_batch_vector(requests):
    batch = merge(requests)
    np.testing.assert_array_equal(batch["sp_event"], batch.index("spacepoints"))


def test_a_fixed_number_of_indices_per_request_is_shifted_too():
    schema = {
        "x": Tensor("float32", ("hits",)),
        "y": Tensor("float32", ("spacepoints",)),
        "pair": Tensor("int64", (2,), index_into=("hits", "spacepoints")),
        "root": Tensor("int32", (), index_into="hits"),
    }
    requests = [
        {
            "x": np.zeros(hits, np.float32),
            "y": np.zeros(spacepoints, np.float32),
            "pair": np.array([hits - 1, spacepoints - 1]),
            "root": np.array(0, np.int32),
        }
        for hits, spacepoints in ((3, 1), (2, 4), (5, 2))
    ]
    batch = collate(schema, requests, [validate(schema, request) for request in requests])
    assert batch["pair"].tolist() == [[2, 0], [4, 4], [9, 6]]
    assert batch["root"].tolist() == [0, 3, 5]
    for share, request in zip(
        split(schema, dict(batch), sizes_of(batch), 3), requests, strict=True
    ):
        np.testing.assert_array_equal(share["pair"], request["pair"])
        np.testing.assert_array_equal(share["root"], request["root"])


def test_a_result_with_the_wrong_number_of_rows_is_refused():
    schema = {"y": Tensor("float32", ("nodes",))}
    with pytest.raises(PipelineError, match=r"y with shape \[4\]; axis 0 must be the batch's 3"):
        split(schema, {"y": np.zeros(4, np.float32)}, {"nodes": np.array([1, 2])}, 2)


def test_requests_with_other_inner_sizes_are_not_merged():
    schema = {"image": Tensor("float32", ("images", "height", 3))}
    one = {"image": np.zeros((2, 5, 3), np.float32)}
    two = {"image": np.zeros((1, 5, 3), np.float32)}
    other = {"image": np.zeros((2, 6, 3), np.float32)}
    marks = [signature(schema, r, measure(schema, r)) for r in (one, two, other)]
    assert marks[0] == marks[1] != marks[2]


def test_requests_that_lack_an_optional_tensor_are_not_merged_with_those_that_have_it():
    schema = {
        "x": Tensor("float32", ("nodes",)),
        "w": Tensor("float32", ("nodes",), optional=True),
    }
    full = {"x": np.zeros(2, np.float32), "w": np.zeros(2, np.float32)}
    bare = {"x": np.zeros(2, np.float32)}
    assert signature(schema, full, {"nodes": 2}) != signature(schema, bare, {"nodes": 2})


def test_a_batch_as_torch_tensors_shares_memory_on_the_cpu():
    import torch

    requests = [{"x": np.ones((2, 8), np.float32)}, {"x": np.ones((3, 8), np.float32)}]
    schema = {"x": Tensor("float32", ("nodes", 8))}
    batch = collate(schema, requests, [{"nodes": 2}, {"nodes": 3}])
    tensors = batch.torch("cpu")
    assert isinstance(tensors["x"], torch.Tensor)
    assert tensors["x"].data_ptr() == batch["x"].ctypes.data
    assert tensors.index("nodes").tolist() == [0, 0, 1, 1, 1]


EDGES = {
    "x": Tensor("float32", ("nodes",)),
    "edges": Tensor("int32", (2, "edges"), index_into="nodes"),
}


@pytest.mark.parametrize("value", [-1, 2, 2**31 - 1])
@pytest.mark.parametrize("beside", [0, 2])
def test_an_unchecked_index_is_not_merged(value, beside):
    right = {"x": np.zeros(2, np.float32), "edges": np.zeros((2, 1), np.int32)}
    wrong = right | {"edges": np.array([[0], [value]], np.int32)}
    sizes = {"requests": 1, "nodes": 2, "edges": 1}
    with pytest.raises(PipelineError, match=rf"edges\[1, 0\] is {value}; it must be 0 to 1"):
        collate(EDGES, [right] * beside + [wrong], [sizes] * (beside + 1))


def test_indices_that_would_be_greater_than_their_dtype_are_not_merged():
    part = {"edges": np.zeros((2, 1), np.int32)}
    sizes = {"requests": 1, "nodes": 2**30, "edges": 1}
    collate(EDGES, [part], [sizes])
    with pytest.raises(PipelineError, match="edges is int32, which cannot hold the positions"):
        collate(EDGES, [part] * 3, [sizes] * 3)


def test_no_index_needs_no_dtype_that_holds_one():
    schema = {"x": Tensor("bool", ("rows",)), "near": Tensor("int8", ("pairs",), index_into="rows")}
    one = {"x": np.ones(200, bool), "near": np.empty(0, np.int8)}
    batch = collate(schema, [one, one], [measure(schema, one)] * 2)
    assert batch["near"].shape == (0,)


def test_a_dimension_that_no_input_has_is_not_split():
    with pytest.raises(KeyError, match="width"):
        split({"y": Tensor("float32", ("width",))}, {"y": np.ones(2, np.float32)}, {}, 2)
