"""The tab of a task: its form, examples to click, and the answer."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import gradio as gr

from naiad.errors import MissingExtra, NaiadError
from naiad.tasks.calls import Answer, TaskCall
from naiad.triton.past_requests import PastRequests
from naiad.ui.answers import AnswerView
from naiad.ui.asking import ask
from naiad.ui.cards import build_card
from naiad.ui.events import QUICK
from naiad.ui.examples import Example, find_examples
from naiad.ui.forms import Form, build_form
from naiad.ui.messages import html_block, notice

_log = logging.getLogger(__name__)

_LAST: Final = 0.5  # seconds in which the last report of a cancelled question arrives

TOGETHER: Final = 8
"""Questions that are asked at once by all visitors of a tab; others wait."""


def build_task_tab(name: str, call: TaskCall, past: PastRequests, folder: Path) -> None:
    """Make the contents of a tab in the current layout; ``folder`` keeps files of examples.

    Raises:
        NaiadError: the model's card cannot be fetched.
    """
    gr.Markdown(f"### {_title(call)}")
    html_block(notice(call.notice), visible=bool(call.notice))
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            form = build_form(call)
            with gr.Row():
                button = gr.Button("Ask", variant="primary", min_width=120, elem_id=f"ask-{name}")
                cancel = gr.Button("Cancel", min_width=120)
            examples = _examples(call, folder)
            clicked = [gr.Button(one.name, size="sm") for one in _titled(examples)]
        with gr.Column(scale=3, min_width=300, elem_id=f"answer-{name}"):
            view = AnswerView(call, past)
    build_card(call.client.model(call.model), call.task.name)
    asking = _asking(call, form, view)
    outputs = view.components
    about: dict[str, Any] = {
        "concurrency_limit": TOGETHER,
        "show_progress": "hidden",
        "api_visibility": "private",
        "trigger_mode": "once",
    }

    def run(*values: Any) -> Iterator[dict[Any, Any]]:
        yield view.waiting("Asking …")
        with closing(asking(values)) as steps:
            yield from steps

    events = [button.click(run, form.components, outputs, **about)]
    if form.text is not None and hasattr(form.text, "submit"):
        events.append(form.text.submit(run, form.components, outputs, **about))
    for one, example in zip(clicked, examples, strict=True):
        fill = one.click(_filled(form, example), None, form.components, **QUICK)
        events.append(fill.then(run, form.components, outputs, **about))

    def stop() -> dict[Any, Any]:
        time.sleep(_LAST)  # a report of the progress may be under way
        return view.waiting("Cancelled.")

    cancel.click(stop, None, [view.status], cancels=cast("Any", events), **QUICK)


def _title(call: TaskCall) -> str:
    """Return the first sentence of the task's help."""
    return (
        (inspect.getdoc(type(call.task)) or call.task.name).partition("\n\n")[0].replace("\n", " ")
    )


def _examples(call: TaskCall, folder: Path) -> tuple[Example, ...]:
    try:
        return find_examples(call, folder)
    except MissingExtra:
        return ()


def _titled(examples: Sequence[Example]) -> Sequence[Example]:
    if examples:
        gr.Markdown("Examples", elem_classes=["naiad-examples"])
    return examples


def _filled(form: Form, example: Example) -> Callable[[], Any]:
    def fill() -> Any:
        values = form.filled(example)
        return values if len(values) != 1 else values[0]

    return fill


def _asking(
    call: TaskCall, form: Form, view: AnswerView
) -> Callable[[Sequence[Any]], Generator[dict[Any, Any]]]:
    """Return what yields updates for a form's values."""

    def steps(values: Sequence[Any]) -> Generator[dict[Any, Any]]:
        began = time.monotonic()
        try:
            question = form.read(values)
            with TemporaryDirectory(prefix="naiad-answer-") as folder:
                given, written = Path(folder, "given"), Path(folder, "written")
                given.mkdir()
                written.mkdir()
                question = question.gathered(given)
                answers: list[Answer] = []
                with closing(ask(call, question)) as asked:
                    for answers in asked:
                        seconds = time.monotonic() - began
                        yield view.waiting(f"{len(answers):,} answered, {seconds:.0f} s …")
                seconds = time.monotonic() - began
                # The files are copied, for their visitor alone, before the folder is deleted.
                yield view.answered(answers, question, seconds, written)
        except NaiadError as error:
            yield view.failed(str(error))
        except Exception as error:  # of a task: its question fails, and the form can be used again
            _log.exception("a question to %s failed", call.task.name)
            yield view.failed(f"{call.task.name} failed: {type(error).__name__}: {error}")

    return steps
