"""Schemas written as JSON are read as they were."""

from __future__ import annotations

import pytest

from naiad.core.schema import Schema, Tensor
from naiad.core.schema_json import read_schemas, schema_text
from naiad.errors import SchemaError

INPUTS: Schema = {
    "x": Tensor("float32", ("nodes", 3), minimum=0, maximum=2.5, unit="cm", doc="position"),
    "edges": Tensor("int64", (2, "edges"), index_into=("nodes", "nodes")),
    "kind": Tensor("int8", ("nodes",), categories={0: "a", 2: "c"}, finite=False, unique=True),
    "name": Tensor("bytes", ("requests",), optional=True, default=b"\xff\0", counts="bytes"),
    "image": Tensor("uint8", ("images", 4, 4, 3), layout="NHWC", declared=(4, 4, 3)),
}


def test_what_is_declared_comes_back() -> None:
    outputs = {"y": Tensor("float16", ("nodes",), optional=True, default=0.5)}
    assert read_schemas(schema_text(INPUTS, outputs)) == (INPUTS, outputs)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"inputs": {}}', '{"inputs": {"x": {"dtype": "f"}}, "outputs": {}}',
        '{"inputs": {"x": {"dtype": "bool", "dims": [1], "later": 1}}, "outputs": {}}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(SchemaError, match="is not the schema of a model"):
        read_schemas(text)
