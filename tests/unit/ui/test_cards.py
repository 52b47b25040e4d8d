"""Model cards on the page: Markdown, in which nothing can run or be loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.card import About, Evaluation, ModelCard
from naiad.errors import InvalidInput
from naiad.hub_card import card_json, card_text, model_card

pytest.importorskip("gradio")

from naiad.ui.cards import card_html

CARD = ModelCard(
    notice="only <b>here</b>",
    about=About(
        use="<script>alert(1)</script> ![x](http://example.org/x.png) [a](javascript:alert(1))",
        license="MIT",
    ),
    evaluations=(Evaluation(name="accuracy", value=0.5, split="test", data="a|b"),),
)


def test_what_a_server_tells_is_the_card_of_the_weights(tmp_path: Path) -> None:
    CARD.save(tmp_path)
    told = card_json(tmp_path)
    assert told is not None
    assert model_card(tmp_path, "net", "mine").endswith(f"---\n\n{card_text(told, 'net', 'mine')}")
    assert card_json(tmp_path / "none") is None
    assert card_json(None) is None
    with pytest.raises(InvalidInput, match="net has no valid model_card: not JSON"):
        card_text("{", "net")


def test_markup_in_a_card_is_text(tmp_path: Path) -> None:
    CARD.save(tmp_path)
    html = card_html(card_text(card_json(tmp_path) or "", "net"))
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("href") == 1  # of what would have been a picture
    assert "javascript:alert(1)" in html
    assert "<td>0.5</td>" in html
