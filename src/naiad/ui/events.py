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


def follow(event: Any, update: Any, inputs: Any, outputs: Any) -> None:
    """Let outputs follow an input that changes faster than it is answered.

    Answers may come in another order than the changes, as Gradio (6.31) sends the next before it
    knows that the last is under way: after each, the input is read and answered once more.
    """
    event(update, inputs, outputs, trigger_mode="always_last", **QUICK).then(
        update, inputs, outputs, trigger_mode="always_last", **QUICK
    )
