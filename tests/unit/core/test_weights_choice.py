"""Weights of several pipelines are for those that they are given for, and for no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import naiad
from naiad.core.weights_choice import Weights, assign_weights, parse_weights
from naiad.errors import InvalidInput


class Own(naiad.Pipeline):
    inputs = outputs = {"x": naiad.Tensor("float32", ("n",))}

    def forward(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"x": batch["x"]}


def test_a_path_or_names_with_paths_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert parse_weights([]) is None
    assert parse_weights(["shop/"]) == Path("shop")
    assert parse_weights(["products=a", "my.py:My=b=c"]) == {
        "products": Path("a"),
        "my.py:My": Path("b=c"),
    }
    monkeypatch.chdir(tmp_path)
    Path("lr=3").mkdir()
    assert parse_weights(["lr=3"]) == Path("lr=3"), "a folder that there is"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", "b"], "--weights a does not say for which model"),
        (["gat=a", "b"], "--weights b does not say for which model"),
        (["gat=a", "gat=b"], "--weights gat= is given twice: a and b"),
        (["=a"], "expected PATH or NAME=PATH"),
        (["gat="], "expected PATH or NAME=PATH"),
    ],
)
def test_what_may_mean_several_things_is_refused(texts: list[str], message: str):
    with pytest.raises(InvalidInput, match=message):
        parse_weights(texts)


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        (None, [None, None]),
        ("w", ["w", "w"]),
        ({"gat": "w"}, ["w", None]),
        ({"gat_test": "w", "own": "v"}, ["w", "v"]),
    ],
)
def test_each_pipeline_has_its_weights(weights: Weights | None, found: list[str | None]):
    paths = [path and str(path) for _, path in assign_weights(weights, ["gat", Own])]
    assert paths == found


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"gta": "w"}, "weights for gta, but the pipelines are: gat, own"),
        ({"gat": "w", "gat_test": "v"}, "weights for gat and for gat_test are of one model"),
    ],
)
def test_weights_for_no_pipeline_or_twice_for_one_are_refused(weights: Weights, message: str):
    with pytest.raises(InvalidInput, match=message):
        assign_weights(weights, ["gat", Own])
