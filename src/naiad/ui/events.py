"""Events of the page that are answered at once."""

from __future__ import annotations

from typing import Any, Final

QUICK: Final[dict[str, Any]] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""Arguments of every listener: it sends its updates back in the same request. In Gradio's queue
(6.31) they come in a stream that may have been closed by then, and are lost."""
