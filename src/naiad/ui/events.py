"""Events of the page that are answered at once."""

from __future__ import annotations

from typing import Any, Final

QUICK: Final[dict[str, Any]] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""Arguments of a listener that takes milliseconds: it waits for no question, and sends its answer
back in the same request. Gradio (6.31) loses updates now and then where many events share its
stream."""
