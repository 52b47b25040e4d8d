"""Weights are read without running anything, and PyTorch Geometric's checkpoints become weights."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.applications.gat.graphs import TOPICS, random_net, save

from naiad.applications.gat.card import Architecture, GatCard
from naiad.applications.gat.weights import import_checkpoint, load_weights
from naiad.card import read_card
from naiad.errors import WeightsError
from naiad.weights import CARD_FILE, TENSORS_FILE


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    net, card = load_weights(save(tmp_path / "w", random_net()))
    assert card == read_card(tmp_path / "w", GatCard)
    assert (card.classes, card.notice) == (TOPICS, "for tests")
    assert not net.training
    for name, tensor in random_net().state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": list("abc")}, "3 names for 7 classes"),
        ({"classes": [*"abcdef", "g,h"]}, "has a comma"),
        ({"architecture": {"features": -1}}, "features is -1; it must be 1 to"),
        ({"sha256": "0" * 64}, "do not belong together"),
    ],
)
def test_a_card_that_cannot_be_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = save(tmp_path / "w") / CARD_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path / "w")


@pytest.mark.parametrize("missing", [CARD_FILE, TENSORS_FILE])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    (save(tmp_path / "w") / missing).unlink()
    with pytest.raises(WeightsError, match=missing):
        load_weights(tmp_path / "w")


@pytest.mark.parametrize("names", [("conv1", "conv2"), ("convs.0", "convs.1"), ("gat.a", "gat.b")])
def test_a_checkpoint_of_pytorch_geometric_becomes_weights(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    state = random_net().state_dict()
    renamed = {
        name.replace("conv1", names[0]).replace("conv2", names[1]): tensor
        for name, tensor in state.items()
    }
    torch.save(renamed, tmp_path / "gat.pt")
    import_checkpoint(tmp_path / "gat.pt", tmp_path / "w", classes=TOPICS, row_normalised=False)
    net, card = load_weights(tmp_path / "w")
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in state.items())
    assert (card.row_normalised, card.architecture) == (False, Architecture())
    assert card.trained_on == "unknown: imported"


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"conv1.att_src": Harm()}, "cannot be read safely"),
        ({"conv1.att_src": torch.zeros(1, 8, 8)}, "1 GATConv layers; this network has 2"),
        ([1, 2], "no state_dict"),
        (
            {f"conv{i}.att_src": torch.zeros(1, 8, 8) for i in (1, 2)},
            "not the tensors of two GATConv layers",
        ),
        (
            {**random_net().state_dict(), "conv1.lin_edge.weight": torch.zeros(64, 3)},
            "conv1.lin_edge.weight does not belong",
        ),
        (
            {**random_net().state_dict(), "conv2.bias": torch.zeros(8)},
            "conv2.bias is torch.float32 .8.; this architecture needs torch.float32 .7.",
        ),
    ],
)
def test_another_checkpoint_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "gat.pt")
    with pytest.raises(WeightsError, match=message):
        import_checkpoint(tmp_path / "gat.pt", tmp_path / "w", classes=TOPICS)
    assert not (tmp_path / "harm").exists()
    assert not (tmp_path / "w").exists()


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gat.pt").write_bytes(pickle.dumps({"a": 1}, protocol=2)[:-3])
    with pytest.raises(WeightsError, match=r"gat\.pt"):
        import_checkpoint(tmp_path / "gat.pt", tmp_path / "w", classes=TOPICS)
