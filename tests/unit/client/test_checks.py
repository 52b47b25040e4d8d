"""A request that does not fit its model is refused before it is sent, with what is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from naiad.client.checks import (
    checked_inputs,
    checked_outputs,
    checked_parameters,
    checked_text,
    checked_version,
    merged,
)
from naiad.client.spec import ModelSpec, TensorSpec
from naiad.errors import InvalidInput

ECHO = ModelSpec(
    name="echo",
    inputs={
        "values": TensorSpec("values", "FP32", (-1,)),
        "edges": TensorSpec("edges", "INT64", (2, -1), optional=True),
    },
    outputs={"sum": TensorSpec("sum", "FP32", (4,))},
)
BATCHED = ModelSpec(
    name="simple",
    inputs={name: TensorSpec(name, "INT32", (16,)) for name in ("INPUT0", "INPUT1")},
    outputs={"OUTPUT0": TensorSpec("OUTPUT0", "INT32", (16,))},
    max_batch_size=8,
)
TAKES = r"it takes values \(FP32 \[any\]\), edges \(INT64 \[2, any\], optional\)"


def ints(*shape: int) -> Any:
    return np.zeros(shape, dtype=np.int64)


def test_what_fits_is_returned_in_the_models_dtypes() -> None:
    ready = checked_inputs(ECHO, {"values": [1, 2], "edges": [[0], [1]]})
    assert {name: array.dtype for name, array in ready.items()} == {
        "values": np.float32,
        "edges": np.int64,
    }


def test_an_optional_input_may_be_left_out() -> None:
    assert set(checked_inputs(ECHO, {"values": []})) == {"values"}


def test_an_unknown_input_is_answered_with_the_models_inputs() -> None:
    with pytest.raises(InvalidInput, match=rf'model "echo" has no input valuez; {TAKES}'):
        checked_inputs(ECHO, {"valuez": [1]})


def test_a_missing_input_is_named() -> None:
    with pytest.raises(InvalidInput, match=rf'input values of model "echo" is missing; {TAKES}'):
        checked_inputs(ECHO, {"edges": ints(2, 0)})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"values": [[1.0]]},
            r'values has shape \[1, 1\]; model "echo" takes \[any\] \(1 dimension\)',
        ),
        ({"values": 1.0}, r"values has shape \[\]"),
        (
            {"values": [], "edges": ints(3, 5)},
            r'edges has shape \[3, 5\]: dimension 0 is 3; model "echo" takes \[2, any\], '
            "so it must be 2",
        ),
    ],
)
def test_a_wrong_shape_is_named_with_its_position(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        checked_inputs(ECHO, arrays)


def test_a_batch_dimension_comes_first() -> None:
    ready = checked_inputs(BATCHED, {"INPUT0": ints(8, 16), "INPUT1": ints(8, 16)})
    assert ready["INPUT0"].shape == (8, 16)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            ints(16),
            ints(1, 16),
            r'INPUT0 has shape \[16\]; model "simple" takes \[batch, 16\] \(2 dimensions\); '
            r"a batch of one is array\[None\]",
        ),
        (ints(1, 15), ints(1, 16), r"INPUT0 has shape \[1, 15\]: dimension 1 is 15"),
        (ints(9, 16), ints(9, 16), 'INPUT0 is a batch of 9; model "simple" takes batches of 1 to'),
        (ints(0, 16), ints(0, 16), "INPUT0 is a batch of 0"),
        (ints(2, 16), ints(3, 16), "INPUT1 is a batch of 3, but INPUT0 one of 2"),
    ],
)
def test_a_wrong_batch_is_refused(first: Any, second: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        checked_inputs(BATCHED, {"INPUT0": first, "INPUT1": second})


def test_a_tensor_is_given_once() -> None:
    assert merged({"a": [1]}, {"b": [2]}) == {"a": [1], "b": [2]}
    assert merged(None, {}) == {}
    with pytest.raises(InvalidInput, match="a is given twice"):
        merged({"a": [1]}, {"a": [1]})


def test_outputs_are_chosen_by_name() -> None:
    assert checked_outputs(ECHO, None) is None
    assert checked_outputs(ECHO, ["sum"]) == ("sum",)
    assert checked_outputs(ECHO, "sum") == ("sum",)
    with pytest.raises(InvalidInput, match='model "echo" has no output sun; it gives sum'):
        checked_outputs(ECHO, ["sun"])


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [('{"sun": "trained without"}', ": trained without; it"), ("[]", "; it"), ("{", "; it")],
)
def test_a_left_out_output_is_refused_with_the_reason_if_there_is_one(
    left_out: str, reason: str
) -> None:
    spec = replace(ECHO, card={"left_out": left_out})
    with pytest.raises(InvalidInput, match=f"has no output sun{reason} gives sum"):
        checked_outputs(spec, ["sun"])


def test_parameters_of_all_sendable_kinds_pass() -> None:
    parameters = {"a": "x", "b": True, "c": -(2**63), "d": 0.5}
    assert checked_parameters(parameters) == parameters
    assert checked_parameters(None) == {}


@pytest.mark.parametrize("value", [None, [1], 2**63, float("nan"), b"x", np.float32(1)])
def test_a_parameter_that_cannot_be_sent_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="parameter a is"):
        checked_parameters({"a": value})


@pytest.mark.parametrize("name", ["priority", "sequence_id", "timeout", "triton_x"])
def test_a_parameter_that_triton_keeps_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"parameter {name}: Triton reserves this name"):
        checked_parameters({name: 1})


def test_a_spec_is_read_from_a_configuration() -> None:
    config = {
        "name": "m",
        "max_batch_size": 4,
        "input": [
            {"name": "a", "data_type": "TYPE_STRING", "dims": [-1, 3], "optional": True},
            {"name": "b", "data_type": "TYPE_FP16", "dims": [2]},
        ],
        "output": [{"name": "c", "data_type": "TYPE_BOOL", "dims": [1]}],
    }
    assert ModelSpec.from_config(config) == ModelSpec(
        name="m",
        inputs={
            "a": TensorSpec("a", "BYTES", (-1, 3), optional=True),
            "b": TensorSpec("b", "FP16", (2,)),
        },
        outputs={"c": TensorSpec("c", "BOOL", (1,))},
        max_batch_size=4,
    )


@pytest.mark.parametrize(
    ("version", "sent"), [(None, ""), (1, "1"), ("1", "1"), ("02", "2"), (np.int64(3), "3")]
)
def test_a_version_may_be_a_number_or_its_digits(version: Any, sent: str) -> None:
    assert checked_version(version) == sent


@pytest.mark.parametrize("version", [0, -1, "0", "", "newest", "1.0", 1.5, True, b"1", [1]])
def test_another_version_is_refused(version: Any) -> None:
    with pytest.raises(InvalidInput, match=r"version is .*; it must be a whole number, 1 or more"):
        checked_version(version)


def test_text_that_is_no_unicode_is_refused_with_its_position() -> None:
    why = "is the surrogate U\\+DCE9, which is no text; send bytes"
    for sent in (checked_text, lambda what, text: checked_parameters({what: text})):
        with pytest.raises(InvalidInput, match=f"name: character 3 {why}"):
            sent("name", "caf\udce9")
    with pytest.raises(InvalidInput, match="the name of a parameter: character 0"):
        checked_parameters({"\ud800": 1})
