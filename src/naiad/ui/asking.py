"""Asking about the units of a form, one answer after the other, until it is cancelled."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from queue import Empty, Queue
from threading import Event, Thread
from typing import Final

from naiad.errors import NaiadError
from naiad.tasks.calls import Answer, TaskCall
from naiad.ui.forms import Question

MOST_UNITS: Final = 1_000
"""Largest number of units in a question: their answers are kept for the page."""
_OFTEN: Final = 0.3  # seconds between two reports of the progress


def ask(call: TaskCall, question: Question) -> Generator[list[Answer]]:
    """Yield the answers so far, several times a second, and at last all of them.

    Closing the generator stops asking: requests that were sent are answered into the void.

    Raises:
        NaiadError: as :meth:`TaskCall.ask`.
    """
    found: list[Answer] = []
    with _asked(call, question) as answers:
        shown = time.monotonic()
        while True:
            try:
                answer = answers.get(timeout=_OFTEN)
            except Empty:
                yield found
                continue
            if answer is None:
                break
            if isinstance(answer, Exception):
                raise answer
            found.append(replace(answer, name=question.without_folders(answer.name)))
            if time.monotonic() - shown > _OFTEN:
                shown = time.monotonic()
                yield found
    yield found


@contextmanager
def _asked(call: TaskCall, question: Question) -> Generator[Queue[Answer | Exception | None]]:
    """Ask in a thread; give a queue of the answers, then None, or an exception."""
    answers: Queue[Answer | Exception | None] = Queue()
    stopped = Event()

    def run() -> None:
        try:
            asked = call.ask(
                question.options,
                files=question.files,
                typed=question.typed,
                chosen=question.chosen,
                request_id=question.request_id,
            )
            with closing(asked):
                for number, answer in enumerate(asked):
                    if stopped.is_set():
                        return
                    if number >= MOST_UNITS:
                        raise NaiadError(
                            f"the page asks about {MOST_UNITS:,} {call.task.unit} at once; for "
                            f"more, use naiad process {call.task.name}"
                        )
                    answers.put(answer)
        except Exception as error:  # handed to whoever reads the queue
            answers.put(error)
        else:
            answers.put(None)

    Thread(target=run, name="page-ask", daemon=True).start()
    try:
        yield answers
    finally:
        stopped.set()
