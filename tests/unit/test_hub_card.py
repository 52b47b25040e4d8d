"""Model cards as the Hugging Face hub has them, of built-in weights and of a user's own."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
import torch
from huggingface_hub import ModelCard as HubCard
from tests.support.markdown import ROOT
from typer.testing import CliRunner

from naiad import __version__
from naiad.card import About, Evaluation, ModelCard
from naiad.cli.main import app
from naiad.hub_card import model_card

APPLICATIONS = ROOT / "src" / "naiad" / "applications"
BUILT_IN = sorted(
    path.parent.relative_to(APPLICATIONS).as_posix()
    for path in APPLICATIONS.rglob("data/*/weights.json")
)


@pytest.fixture(scope="module")
def defaults() -> ModuleType:
    """Return scripts/describe_defaults.py."""
    path = ROOT / "scripts" / "describe_defaults.py"
    spec = importlib.util.spec_from_file_location("describe_defaults", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("folder", BUILT_IN)
def test_the_cards_of_built_in_weights_say_everything(folder: str, defaults: ModuleType):
    raw = json.loads((APPLICATIONS / folder / "weights.json").read_text())
    assert msgspec.convert(raw["about"], About) == defaults.DEFAULTS[folder]
    text = model_card(APPLICATIONS / folder, "mine", "image")
    card = HubCard(text)
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "naiad")
    assert card.data.tags == ["naiad", "triton", "image", "simulated-data"]
    results = card.data.eval_results
    assert [(one.metric_value, one.dataset_split) for one in results] == [
        (one["value"], one["split"]) for one in raw["evaluations"]
    ]
    assert {one.dataset_type for one in results} == {"simulated"}
    assert "The data is simulated" in text
    assert raw["sha256"] in text
    assert raw["notice"][1:] in text
    assert "Not stated" not in text


def test_every_built_in_number_is_what_the_training_said():
    for folder in BUILT_IN:
        raw = json.loads((APPLICATIONS / folder / "weights.json").read_text())
        assert "accuracy" not in raw.get("metrics", {})  # said once
        said = raw["provenance"].get("held_out")
        for one in raw["evaluations"] if said else ():
            assert f"{one['value']}" in said
            assert f"{one['count']:,}" in said or str(one["count"]) in said


def test_a_card_without_facts_says_so(tmp_path: Path):
    saved = ModelCard().save_with(torch.nn.Linear(1, 1), tmp_path)
    assert saved.versions == {"naiad": __version__, "torch": str(torch.__version__)}
    text = model_card(tmp_path, "mine")
    assert HubCard(text).data.to_dict() == {"library_name": "naiad", "tags": ["naiad", "triton"]}
    assert text.count("Not stated.") == 5
    assert f"Made with: naiad {__version__}, torch" in text


def test_facts_of_a_users_own_are_kept_whole(tmp_path: Path):
    ModelCard(
        notice="a: 'quoted' notice",
        about=About(license="CC-BY-4.0", datasets=("ogbn-products",), use="Ünïcode | pipes"),
        evaluations=(
            Evaluation(
                name="recall | at 5", kind="recall", value=0.5, split="validation", data="x"
            ),
            Evaluation(name="error", kind="mae", value=2, unit="cm", split="test", data="x"),
        ),
    ).save_with(torch.nn.Linear(1, 1), tmp_path)
    text = model_card(tmp_path, "name: with colon")
    data = HubCard(text).data
    assert (data.license, data.datasets) == ("cc-by-4.0", ["ogbn-products"])
    assert data.model_name == "name: with colon"
    assert [one.dataset_split for one in data.eval_results] == ["validation", "test"]
    assert "| recall \\| at 5 | 0.5 | validation | x |  |" in text
    assert "| error | 2 cm | test | x |  |" in text
    assert "simulated" not in text


def test_the_command_prints_or_writes_it(tmp_path: Path):
    show = ["weights", "show", "gat"]
    printed = CliRunner().invoke(app, [*show, "--card"]).output
    assert printed.startswith("---\nlicense: apache-2.0\n")
    assert CliRunner().invoke(app, [*show, "-o", str(tmp_path / "README.md")]).exit_code == 0
    assert (tmp_path / "README.md").read_text("utf-8") == printed
    assert "naiad serve gat --weights DIR" in printed
