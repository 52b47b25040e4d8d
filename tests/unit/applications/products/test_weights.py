"""PyTorch Geometric's checkpoints become weights, and nothing of a file is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.applications.products.shops import CATEGORIES, random_net, save

from naiad.applications.products.card import Architecture, ProductsCard
from naiad.applications.products.weights import import_checkpoint, load_weights
from naiad.card import read_card
from naiad.errors import WeightsError
from naiad.weights import CARD_FILE


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    net, card = load_weights(save(tmp_path / "w"))
    assert card == read_card(tmp_path / "w", ProductsCard)
    assert (card.classes, card.fanouts, card.notice) == (
        CATEGORIES,
        (4, 3, 2),
        "for tests",
    )
    assert not net.training
    for name, tensor in random_net().state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)


def test_the_public_examples_checkpoint_becomes_weights(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "products" / "graphsage_ogbn_products_cpu.pth.tar"
    known = import_checkpoint(path, tmp_path / "w", notice="trained on ogbn-products")
    assert known.architecture == Architecture(100, 256, 47, 3)
    assert known.classes[46] == "category 46"
    net, _ = load_weights(tmp_path / "w")
    state = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("layers", [2, 3, 5])
@pytest.mark.parametrize("name", ["convs.{}", "conv{}", "net.layers.{}.sage"])
def test_layers_are_found_whatever_they_are_called(tmp_path: Path, layers: int, name: str) -> None:
    architecture = Architecture(6, 4, 3, layers)
    state = random_net(architecture).state_dict()
    renamed = {}
    for key in reversed(state):  # in another order than the layers have
        _, number, rest = key.split(".", 2)
        renamed[f"{name.format(int(number) + 8)}.{rest}"] = state[key]
    torch.save(renamed, tmp_path / "sage.pt")
    known = import_checkpoint(tmp_path / "sage.pt", tmp_path / "w")
    assert known.architecture == architecture
    assert known.fanouts == (15, 10, 5, 5, 5)[:layers]
    net, _ = load_weights(tmp_path / "w")
    assert all(torch.equal(net.state_dict()[key], tensor) for key, tensor in state.items())


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"convs.0.lin_l.weight": Harm()}, "cannot be read safely"),
        ([1, 2], "no state_dict"),
        ({}, "not the tensors of SAGEConv layers"),
        (
            {**random_net().state_dict(), "convs.1.bn.weight": torch.zeros(3)},
            r"convs\.1\.bn\.weight has no place",
        ),
        (
            {**random_net().state_dict(), "convs.2.lin_l.bias": torch.zeros(9)},
            r"lin_l\.bias is torch\.float32 \[9\]; this architecture needs",
        ),
    ],
)
def test_another_checkpoint_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "sage.pt")
    with pytest.raises(WeightsError, match=message):
        import_checkpoint(tmp_path / "sage.pt", tmp_path / "w")
    assert not (tmp_path / "harm").exists()
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": list("abc")}, "3 names for 4 classes"),
        ({"classes": ["a", "b", "c", ""]}, "empty name"),
        ({"fanouts": [3, 2]}, "2 fan-outs for 3 layers"),
        ({"fanouts": [3, 2, 0]}, "fan-out 0 must be 1 to"),
        ({"graph": "../other"}, "must not lead out"),
        ({"architecture": {"layers": 1}}, "layers is 1; it must be 2 to 8"),
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
