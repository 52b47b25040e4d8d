"""Messages on the page: the notice of weights, the state of a question, errors."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import gradio as gr

_MOST: Final = 20  # errors that are listed


def html_block(text: str = "", *, visible: bool = True) -> Any:
    """Make a component with HTML in the current layout, in line with those above and below."""
    return gr.HTML(text, visible=visible, padding=False)


def notice(text: str) -> str:
    """Return the notice of weights as HTML; "" without one."""
    if not text:
        return ""
    return f'<div class="naiad-notice" role="note">Weights: {escape(text)}</div>'


def state(text: str) -> str:
    """Return a line about the state of a question as HTML."""
    return f'<p class="naiad-status" role="status">{escape(text)}</p>'


def errors(messages: Sequence[str]) -> str:
    """Return errors as the client says them, as HTML; "" without any."""
    if not messages:
        return ""
    shown = [f"<p>{escape(message)}</p>" for message in messages[:_MOST]]
    if len(messages) > _MOST:
        shown.append(f"<p>and {len(messages) - _MOST:,} more</p>")
    return f'<div class="naiad-errors" role="alert">{"".join(shown)}</div>'


def errors_shown(messages: Sequence[str]) -> Any:
    """Return an update that shows errors, or hides the component without any."""
    return gr.update(value=errors(messages), visible=bool(messages))
