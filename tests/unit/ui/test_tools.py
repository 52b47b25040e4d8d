"""Tools for agents: names, arguments, and schemas of tensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

import pytest

from naiad.client.spec import ModelSpec
from naiad.errors import InvalidInput
from naiad.openapi.tensors import described, nested_schema
from naiad.ui.tools import Tool, check_names, encodable_json, integer, named


@dataclass
class Called:
    """A tool of which only the name matters."""

    name: str


def test_tools_have_names_that_agents_take_and_each_its_own():
    given = ["zero_shot", "mine.v2", "mine/v2", "é" * 80, "é" * 80]
    tools = named(cast("list[Tool]", [Called(name) for name in given]))
    assert [*tools] == ["zero_shot", "mine_v2", "mine_v2_2", "_" * 64, "_" * 62 + "_2"]
    assert [tool.name for tool in tools.values()] == given


SCHEMA: dict[str, Any] = {
    "properties": {"top": {"default": 3, "minimum": 1, "maximum": 9}, "text": {}}
}


@pytest.mark.parametrize("value", [0, 10, True, "3", 2.5, None])
def test_numbers_out_of_bounds_are_refused(value: object):
    with pytest.raises(InvalidInput, match=r"top is .*; it must be an integer from 1 to 9"):
        integer({"top": value}, SCHEMA, "top")


def test_numbers_have_defaults_and_unknown_arguments_are_refused():
    assert (integer({}, SCHEMA, "top"), integer({"top": 4.0}, SCHEMA, "top")) == (3, 4)
    with pytest.raises(InvalidInput, match="unknown argument 'best'; arguments: top, text"):
        check_names({"top": 1, "best": 2}, SCHEMA)


def test_texts_that_are_not_unicode_can_be_sent():
    given = {"na\udce9me": ["\udcff", 1, None, {"é": "\ud800"}]}
    text = json.dumps(encodable_json(given), ensure_ascii=False)
    assert text.encode().decode() == text
    assert encodable_json(given)["na\\udce9me"][3] == {"é": "\\ud800"}


def test_tensors_are_lists_in_lists_of_their_dtype_and_size():
    spec = ModelSpec.from_config(
        {
            "name": "own",
            "max_batch_size": 4,
            "input": [
                {"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 2]},
                {"name": "text", "data_type": "TYPE_STRING", "dims": [1]},
            ],
            "output": [],
        }
    )
    x, text = (nested_schema(one) for one in described(spec)[0])
    pair = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    assert x == {
        "type": "array",
        "items": {"type": "array", "items": pair},
        "description": "FP32 [batch, any, 2].",
    }
    assert text["items"]["items"] == {"type": "string"}
