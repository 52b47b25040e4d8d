import numpy as np
import pytest

from naiad.core.schema import Tensor
from naiad.errors import PipelineError
from naiad.runtime.results import as_numpy, check_bytes, check_outputs


def test_what_a_hook_returns_is_checked_too():
    schema = {"y": Tensor("float32", ("nodes", 7))}
    with pytest.raises(PipelineError, match=r"finish\(\) returned an invalid result: y is float64"):
        check_outputs(schema, {"y": np.zeros((2, 7))}, "finish()")


def test_bytes_that_a_hook_returns_are_bytes():
    schema = {"text": Tensor("bytes", ("texts",))}
    check_bytes(schema, {"text": np.array([b"a", np.bytes_(b"b")], object)}, "finish()")
    with pytest.raises(PipelineError, match=r"finish\(\) .*: text\[1\] is 'b'; it must be bytes"):
        check_bytes(schema, {"text": np.array([b"a", "b"], object)}, "finish()")


def test_a_hook_returns_arrays():
    schema = {"text": Tensor("bytes", ("texts",))}
    wrong: dict = {"text": [b"a"]}
    with pytest.raises(
        PipelineError, match=r"finish\(\) returned text as list, which is not a NumPy"
    ):
        check_outputs(schema, wrong, "finish()")


@pytest.mark.parametrize("made", ["ones(2, dtype=torch.bfloat16)", "ones(2).to_sparse()"])
def test_a_tensor_that_numpy_does_not_have_is_named(made: str) -> None:
    torch = pytest.importorskip("torch")
    value = eval(f"torch.{made}", {"torch": torch})
    with pytest.raises(PipelineError, match=r"forward\(\) returned y as .*; convert it"):
        as_numpy("y", value)
