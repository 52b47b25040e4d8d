"""Paths and schemas of models in a document."""

from __future__ import annotations

from typing import Any

import numpy as np
import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator

from naiad.client.spec import ModelSpec
from naiad.core.schema import Array, Schema, Tensor
from naiad.core.schema_json import SCHEMA_PARAMETER, schema_text
from naiad.openapi.document import document
from naiad.openapi.models import LARGEST_EXAMPLE, example_of, model_paths

INPUTS: Schema = {
    "x": Tensor("float32", ("nodes", 2), minimum=0, unit="cm", doc="position"),
    "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
    "label": Tensor("bytes", ("requests",), optional=True),
}
OUTPUTS: Schema = {"score": Tensor("float32", ("nodes",), doc="how good")}


def spec(card: dict[str, str], *, batch: int = 0) -> ModelSpec:
    def entry(name: str, tensor: Tensor) -> dict[str, Any]:
        kind = "STRING" if tensor.triton == "BYTES" else tensor.triton
        return {
            "name": name,
            "data_type": f"TYPE_{kind}",
            "dims": [*tensor.config_dims],
            "optional": tensor.optional,
        }

    return ModelSpec.from_config(
        {
            "name": "my.model",
            "max_batch_size": batch,
            "input": [entry(*one) for one in INPUTS.items()],
            "output": [entry(*one) for one in OUTPUTS.items()],
            "parameters": {name: {"string_value": text} for name, text in card.items()},
        }
    )


@pytest.fixture
def ours() -> ModelSpec:
    return spec({SCHEMA_PARAMETER: schema_text(INPUTS, OUTPUTS), "notice": "not for physics"})


def arrays(nodes: int = 3) -> dict[str, Array]:
    x = np.ones((nodes, 2), np.float32)
    return {"x": x, "edge_index": np.array([[0], [1]]), "label": np.array([b"a"], object)}


def tensors(schemas: dict[str, Any], kind: str = "request") -> dict[str, Any]:
    of = {"request": "inputs", "answer": "outputs"}[kind]
    found = schemas[f"my.model.{kind}"]["properties"][of]["items"]["anyOf"]
    return {one["title"]: one for one in found}


def test_tensors_have_the_names_units_and_bounds_of_the_pipeline(ours: ModelSpec) -> None:
    paths, schemas = model_paths(ours)
    inputs = tensors(schemas)
    assert inputs["x"]["x-dimensions"] == ["nodes", 2]
    assert inputs["x"]["x-unit"] == "cm"
    assert inputs["x"]["description"] == "Position; in cm."
    assert inputs["x"]["properties"]["data"]["items"]["anyOf"][0] == {
        "type": "number",
        "minimum": 0,
    }
    assert inputs["edge_index"]["description"] == "Positions in nodes."
    assert tensors(schemas, "answer")["score"]["x-dimensions"] == ["nodes"]
    assert "not for physics" in paths["/v2/models/my.model/infer"]["post"]["description"]
    assert "optional" in schemas["my.model.request"]["properties"]["inputs"]["description"]


def test_other_models_have_the_shapes_of_their_configuration() -> None:
    _, schemas = model_paths(spec({}))
    assert tensors(schemas)["x"]["x-dimensions"] == ["any", 2]
    _, schemas = model_paths(spec({SCHEMA_PARAMETER: "of a later version"}, batch=4))
    assert tensors(schemas)["x"]["x-dimensions"] == ["batch", "any", 2]


def test_the_document_is_valid_and_so_is_its_example(ours: ModelSpec) -> None:
    example = example_of(ours, arrays())
    made = document(*model_paths(ours, example), secured=True)
    openapi_spec_validator.validate(made)
    schema = made["components"]["schemas"]["my.model.request"]
    validator = Draft202012Validator(schema)
    validator.validate(example)
    assert not validator.is_valid({"inputs": []})
    assert not validator.is_valid({"inputs": [{"name": "z", "datatype": "FP32", "shape": [1]}]})


@pytest.mark.parametrize(
    "changed",
    [
        {"x": np.full((3, 2), np.nan, np.float32)},
        {"label": np.array([b"\xff"], object)},
        {"label": np.array([b"a" * LARGEST_EXAMPLE], object)},
        {"x": np.ones((LARGEST_EXAMPLE, 2), np.float32)},
        {"other": np.ones(1)},
    ],
)
def test_what_json_has_not_or_is_long_is_no_example(
    ours: ModelSpec, changed: dict[str, Array]
) -> None:
    assert example_of(ours, {**arrays(), **changed}) is None
