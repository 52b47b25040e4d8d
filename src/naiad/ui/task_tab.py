"""The tab of a task: its form, examples to click, and the answer."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import gradio as gr

from naiad.errors import MissingExtra, NaiadError
from naiad.tasks.calls import TaskCall
from naiad.triton.past_requests import PastRequests
from naiad.ui.answers import AnswerView
from naiad.ui.asking import Asking, Turns
from naiad.ui.cards import build_card
from naiad.ui.events import QUICK
from naiad.ui.examples import Example, find_examples
from naiad.ui.forms import Form, build_form
from naiad.ui.messages import html_block, notice

_log = logging.getLogger(__name__)

_SOON: Final = 1.5  # seconds for which the first look at a question waits for its answers
_TICK: Final = 0.5  # seconds between two looks


def build_task_tab(
    name: str, call: TaskCall, past: PastRequests, turns: Turns, folder: Path
) -> None:
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
    page = _Questions(call, form, view, turns)
    button.click(page.ask, page.inputs, page.outputs, trigger_mode="once", **QUICK).then(
        page.look_first, page.state, page.outputs, **QUICK
    )
    if form.text is not None and hasattr(form.text, "submit"):
        form.text.submit(page.ask, page.inputs, page.outputs, trigger_mode="once", **QUICK).then(
            page.look_first, page.state, page.outputs, **QUICK
        )
    for one, example in zip(clicked, examples, strict=True):
        fill = one.click(_filled(form, example), None, form.components, **QUICK)
        fill.then(page.ask, page.inputs, page.outputs, **QUICK).then(
            page.look_first, page.state, page.outputs, **QUICK
        )
    cancel.click(page.cancel, page.state, [page.state, page.timer, view.status], **QUICK)


class _Questions:
    """The questions of a tab, one after the other.

    Nothing here is in Gradio's queue. It sends the answers of a session in one stream, which it
    closes after the last; if the next question comes before the browser knows (6.31), its answer
    is in no stream, and never shown.

    Attributes:
        state: the question under way, or None.
        timer: of the looks at it.
        inputs, outputs: components of :meth:`ask` and of the looks.
    """

    def __init__(self, call: TaskCall, form: Form, view: AnswerView, turns: Turns) -> None:
        """Make the components in the current layout."""
        self._call, self._form, self._view, self._turns = call, form, view, turns
        self.state = gr.State(None, time_to_live=1800, delete_callback=_stop)
        self.timer = gr.Timer(_TICK, active=False)
        self.inputs: list[Any] = [self.state, *form.components]
        self.outputs: list[Any] = [self.state, self.timer, *view.components, view.timing.told]
        self.timer.tick(self.look, self.state, self.outputs, trigger_mode="once", **QUICK)

    def ask(self, last: Asking | None, *values: Any) -> dict[Any, Any]:
        """Begin a question with a form's values, in place of the last one."""
        _stop(last)
        timing = self._view.timing
        cleared = {timing.told: timing.cleared()}
        try:
            asking = Asking(self._call, self._form.read(values), self._turns)
        except NaiadError as error:
            return self._ended() | self._view.failed(str(error)) | cleared
        return {self.state: asking, **self._view.waiting("Asking …"), **cleared}

    def look_first(self, asking: Asking | None) -> dict[Any, Any]:
        """Wait a little, as most answers are there soon, and :meth:`look`."""
        if asking is not None:
            asking.finished.wait(_SOON)
        return self.look(asking)

    def look(self, asking: Asking | None) -> dict[Any, Any]:
        """Return updates with the progress of a question, or with its answers."""
        if asking is None or asking.stopped.is_set():
            return {self.timer: gr.Timer(active=False)}
        if not asking.finished.is_set():
            said = f"{len(asking.found):,} answered, {asking.seconds:.0f} s …"
            return {self.timer: gr.Timer(active=True), **self._view.waiting(said)}
        return self._ended() | self._answered(asking)

    def cancel(self, asking: Asking | None) -> dict[Any, Any]:
        """Stop the question under way."""
        _stop(asking)
        return self._ended() | self._view.waiting("Cancelled.")

    def _ended(self) -> dict[Any, Any]:
        return {self.state: None, self.timer: gr.Timer(active=False)}

    def _answered(self, asking: Asking) -> dict[Any, Any]:
        error = asking.error
        try:
            if error is not None:
                raise error
            return self._view.answered(asking.found, asking.question, asking.seconds)
        except NaiadError as error:
            return self._view.failed(str(error))
        except Exception as error:  # of a task: its question fails, and the form can be used again
            name = self._call.task.name
            _log.exception("a question to %s failed", name)
            return self._view.failed(f"{name} failed: {type(error).__name__}: {error}")


def _stop(asking: Asking | None) -> None:
    if asking is not None:
        asking.stop()


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
