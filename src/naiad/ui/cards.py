"""The model card of served weights, to be unfolded in a model's tab."""

from __future__ import annotations

from typing import Final

import gradio as gr
from markdown_it import MarkdownIt

from naiad.client.client import ModelClient
from naiad.client.spec import card_of
from naiad.hub_card import CARD_PARAMETER, card_text
from naiad.ui.messages import html_block

# A card is of whoever trained the weights: its HTML is shown as text, and its links can only be
# followed, not loaded.
_MARKDOWN: Final = MarkdownIt("js-default").disable("image")


def build_card(model: ModelClient, application: str = "") -> None:
    """Make the fold with the model card in the current layout; nothing if the model has none.

    Args:
        model: the served model.
        application: by which ``naiad serve`` runs it; "" if not known.

    Raises:
        NaiadError: the model's configuration cannot be fetched, or its card is not valid.
    """
    told = card_of(model.config()).get(CARD_PARAMETER)
    if told is None:
        return
    with gr.Accordion("Model card", open=False):
        html_block(card_html(card_text(told, application or model.name, application)))


def card_html(text: str) -> str:
    """Return the Markdown of a model card as HTML, in which all other HTML is text."""
    return f'<div class="naiad-card prose">{_MARKDOWN.render(text)}</div>'
