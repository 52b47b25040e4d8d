"""Settings of a pipeline's own are checked by their types, and travel with the exported model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.core.own_settings import with_values
from naiad.core.pipeline import load_pipeline
from naiad.errors import InvalidInput
from naiad.runtime.spec import Spec
from naiad.runtime.worker import load
from naiad.triton.config import read_config, read_parameters
from naiad.triton.repository import export, naiad_models


@dataclass(frozen=True)
class Options:
    threshold: float = 0.5
    top: int = 3
    title: str = ""
    strict: bool = False
    mode: Literal["sum", "count"] = "sum"
    limit: float | None = None
    sizes: tuple[int, ...] = (1, 2)


def strategy() -> st.SearchStrategy[dict[str, Any]]:
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    return st.fixed_dictionaries(
        {},
        optional={
            "threshold": numbers,
            "top": st.integers(),
            "title": st.text(),
            "strict": st.booleans(),
            "mode": st.sampled_from(["sum", "count"]),
            "limit": numbers | st.none(),
            "sizes": st.lists(st.integers()).map(tuple),
        },
    )


@given(strategy())
def test_values_arrive_as_they_are_typed_and_as_they_are_recorded(values: dict[str, Any]) -> None:
    found = with_values(Options(), values, "scale")
    assert asdict(found) == asdict(Options()) | values
    typed = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
    assert with_values(Options(), typed, "scale") == found
    recorded = json.loads(json.dumps(asdict(found)))
    assert with_values(Options(), recorded, "scale") == found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"treshold": 1}, r"scale has no setting 'treshold'; it has threshold \(a number\), top"),
        ({"treshold": 1}, "did you mean threshold"),
        ({"threshold": "high"}, "setting threshold of scale is 'high'; it must be a number"),
        ({"threshold": True}, "threshold of scale is True"),
        ({"top": "2.5"}, "top of scale is '2.5'; it must be a whole number"),
        ({"top": True}, "top of scale is True"),
        ({"strict": "yes"}, "strict of scale is 'yes'; it must be true or false"),
        ({"strict": 1}, "strict of scale is 1"),
        ({"mode": "max"}, "mode of scale is 'max'; it must be sum or count"),
        ({"title": 7}, "title of scale is 7; it must be text"),
        ({"limit": "none"}, "limit of scale is 'none'; it must be a number or null"),
        ({"sizes": "[1, 2.5]"}, "it must be a list of a whole number"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        with_values(Options(), values, "scale")


def test_a_pipeline_without_settings_says_so() -> None:
    with pytest.raises(InvalidInput, match="plain has no setting 'a'; it has no settings"):
        with_values(None, {"a": 1}, "plain")


SOURCE = """
from dataclasses import dataclass

import naiad
from naiad import Tensor


@dataclass(frozen=True)
class Options:
    factor: float = 2.0
    offsets: tuple[int, ...] = ()


class Scale(naiad.Pipeline):
    inputs = {"x": Tensor("float32", ("nodes",))}
    outputs = {"y": Tensor("float32", ("nodes",))}
    arrays = "numpy"
    settings = Options()

    def setup(self, device):
        self.factor = self.settings.factor

    def forward(self, batch):
        return {"y": batch["x"] * self.factor}
"""


def test_they_are_recorded_in_the_config_and_seen_in_setup(tmp_path: Path) -> None:
    source = tmp_path / "scale.py"
    source.write_text(SOURCE)
    given = {"factor": "0.1", "offsets": "[1, 2]"}
    model = export(f"{source}:Scale", tmp_path / "models", settings=given)
    said = json.loads(read_parameters(read_config(model.path / "config.pbtxt"))["settings"])
    assert said == {"factor": 0.1, "offsets": [1, 2]}
    source.unlink()
    (found,) = naiad_models(tmp_path / "models")
    pipeline: Any = found.pipeline()
    assert (pipeline.settings.factor, pipeline.settings.offsets) == (0.1, (1, 2))
    spec = f"{model.path / '1' / 'pipeline.py'}:Scale"
    served: Any = load(Spec(spec, settings=said)).pipeline
    assert served.factor == 0.1
    assert getattr(load_pipeline(spec), "settings").factor == 2.0  # noqa: B009
