"""Model cards of before are read, and those of now have every key that they had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from naiad.applications.gat.card import GatCard
from naiad.applications.image.card import ImageCard
from naiad.applications.nugraph.card import NuGraph2Card, NuGraph3Card
from naiad.applications.products.card import ProductsCard
from naiad.applications.text.embedding.card import EncoderCard
from naiad.applications.text.zero_shot.card import EntailmentCard
from naiad.card import ModelCard, read_card
from naiad.errors import WeightsError
from naiad.torch_model import NetworkCard
from naiad.weights import CARD_FILE

GOLDEN = Path(__file__).parents[2] / "golden" / "cards"
KINDS: dict[str, type[ModelCard]] = {
    "covid_ct": NetworkCard,
    "gat": GatCard,
    "image": ImageCard,
    "mednist": NetworkCard,
    "nugraph2": NuGraph2Card,
    "nugraph3": NuGraph3Card,
    "products": ProductsCard,
    "text_embedding": EncoderCard,
    "zero_shot": EntailmentCard,
}
every_card = pytest.mark.parametrize("name", KINDS)


@pytest.fixture
def folder(name: str, tmp_path: Path) -> Path:
    (tmp_path / CARD_FILE).write_text((GOLDEN / f"{name}.json").read_text("utf-8"), "utf-8")
    return tmp_path


def change(folder: Path, **changes: Any) -> None:
    path = folder / CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes))


@every_card
def test_a_card_is_read_and_written_with_the_keys_and_values_of_before(
    name: str, folder: Path
) -> None:
    card = read_card(folder, KINDS[name])
    card.save(folder)
    written = json.loads((folder / CARD_FILE).read_text("utf-8"))
    before = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    assert {key: written[key] for key in before} == before
    assert read_card(folder, KINDS[name]) == card


@every_card
def test_the_notice_is_read_from_any_card(name: str, folder: Path) -> None:
    assert read_card(folder, ModelCard).notice


@every_card
def test_an_unknown_field_is_refused_by_name(name: str, folder: Path) -> None:
    change(folder, colour="red")
    with pytest.raises(WeightsError, match=r"weights\.json: .*Card: .* unknown field `colour`"):
        read_card(folder, KINDS[name])


@every_card
@pytest.mark.parametrize("version", [2, "1", None])
def test_another_format_is_refused(name: str, folder: Path, version: Any) -> None:
    change(folder, format=version)
    with pytest.raises(WeightsError, match=rf"format {version!r}; this Naiad reads format 1"):
        read_card(folder, KINDS[name])


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", "\0", "1" * 5000])
def test_a_file_that_is_not_a_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(WeightsError, match=CARD_FILE):
        read_card(tmp_path, ModelCard)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gat", {"architecture": {"hidden": "8"}}, r"`int`, got `str` - at `\$.architecture.hid"),
        ("gat", {"row_normalised": "no"}, r"Expected `bool`, got `str` - at `\$.row_normalised`"),
        ("image", {"preprocessing": {}}, r"missing required field `height` - at `\$.prepro"),
        ("nugraph3", {"semantic_classes": "ab"}, r"`array`, got `str` - at `\$.semantic_classes`"),
        ("nugraph3", {"architecture": []}, r"`object`, got `array` - at `\$.architecture`"),
        ("text_embedding", {"dimension": 1.5}, r"`int`, got `float` - at `\$.dimension`"),
        ("zero_shot", {"provenance": {"a": 1}}, r"`str`, got `int` - at `\$.provenance"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_field(
    name: str, folder: Path, changes: dict[str, Any], message: str
) -> None:
    change(folder, **changes)
    with pytest.raises(WeightsError, match=message):
        read_card(folder, KINDS[name])
