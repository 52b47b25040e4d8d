"""Questions under way: a thread asks each, and the page that asked it looks at it now and then."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BoundedSemaphore, Event, Thread
from typing import Final

from naiad.errors import NaiadError
from naiad.tasks.calls import Answer, TaskCall
from naiad.ui.forms import Question

MOST_UNITS: Final = 1_000
"""Largest number of units in a question: their answers are kept for the page."""
RUNNING: Final = 16
"""Questions of all visitors that are asked at once."""
WAITING: Final = 64
"""Questions that wait for others; further ones are refused."""
_OFTEN: Final = 0.2  # seconds between two looks whether a question that waits was stopped


class Turns:
    """Turns of questions: some are asked at once, some wait, and further ones are refused."""

    def __init__(self, running: int = RUNNING, waiting: int = WAITING) -> None:
        """Begin without questions."""
        self._running = BoundedSemaphore(running)
        self._known = BoundedSemaphore(running + waiting)

    @contextmanager
    def turn(self, stopped: Event) -> Generator[bool]:
        """Wait for a turn; False if ``stopped`` comes first.

        Raises:
            NaiadError: too many wait already.
        """
        if not self._known.acquire(blocking=False):
            raise NaiadError("too many questions are asked at once; try again in a moment")
        try:
            while not (has_turn := self._running.acquire(timeout=_OFTEN)):
                if stopped.is_set():
                    break
            try:
                yield has_turn
            finally:
                if has_turn:
                    self._running.release()
        finally:
            self._known.release()


class Asking:
    """A question under way.

    Attributes:
        question: with its files in one folder, which is deleted at the end.
        found: the answers so far, in order.
        error: why the question ended before all answers, or None.
        finished: set at the end.
        stopped: set by :meth:`stop`.
    """

    def __init__(self, call: TaskCall, question: Question, turns: Turns) -> None:
        """Begin to ask, in a thread, as soon as it has a turn."""
        self._call, self._turns, self._began = call, turns, time.monotonic()
        self.question, self.found = question, list[Answer]()
        self.error: Exception | None = None
        self.finished, self.stopped = Event(), Event()
        Thread(target=self._run, name="page-ask", daemon=True).start()

    @property
    def seconds(self) -> float:
        """Seconds since its begin."""
        return time.monotonic() - self._began

    def stop(self) -> None:
        """Stop asking; requests that were sent are answered into the void."""
        self.stopped.set()

    def __deepcopy__(self, memo: object) -> Asking:
        """Return itself: a page keeps it, and has no use for a copy."""
        return self

    def _run(self) -> None:
        try:
            with self._turns.turn(self.stopped) as has_turn:
                if has_turn:
                    self._ask()
        except Exception as error:  # handed to whoever looks at the question
            self.error = error
        finally:
            self.finished.set()

    def _ask(self) -> None:
        with TemporaryDirectory(prefix="naiad-question-") as folder:
            self.question = question = self.question.gathered(Path(folder))
            asked = self._call.ask(
                question.options,
                files=question.files,
                typed=question.typed,
                chosen=question.chosen,
                request_id=question.request_id,
            )
            with closing(asked):
                for answer in asked:
                    if self.stopped.is_set():
                        return
                    if len(self.found) >= MOST_UNITS:
                        raise NaiadError(
                            f"the page asks about {MOST_UNITS:,} {self._call.task.unit} at once; "
                            f"for more, use naiad process {self._call.task.name}"
                        )
                    name = question.without_folders(answer.name)
                    self.found.append(replace(answer, name=name))
