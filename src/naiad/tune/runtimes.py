"""Time of the same requests by each library that can run a pipeline's network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from naiad.core.pipeline import Request
from naiad.core.settings import Runtime
from naiad.errors import InvalidInput, NaiadError
from naiad.runtime.spec import Spec
from naiad.tune.sweep import checked
from naiad.tune.worker import Worker

_ROUNDS: Final = 5
_GAIN: Final = 0.95  # of the seconds of the file's own library; others must take less
_MOST: Final = 16  # requests per round


@dataclass(slots=True)
class Trial:
    """A library that was tried.

    Attributes:
        runtime: the library; None for that of the network's file.
        seconds: of the requests together, each time.
        refused: why it cannot run the network; "" if it can.
    """

    runtime: Runtime | None
    seconds: list[float] = field(default_factory=list[float])
    refused: str = ""

    @property
    def typical(self) -> float:
        """Median seconds."""
        return median(self.seconds)


def measure_runtimes(
    spec: Spec,
    runtimes: Sequence[Runtime],
    requests: Sequence[Request],
    seconds: float,
    on_progress: Callable[[str, float], None] = lambda text, share: None,
) -> list[Trial]:
    """Run requests by the file's own library and by each other, in turn, at least five times.

    ``seconds`` limits the number of requests. A library compares its answers with the original's
    when it loads the network (:mod:`naiad.networks.opening`), and is refused if they differ.

    Raises:
        NaiadError: the network's own library cannot load or run it.
    """
    trials = [Trial(None), *map(Trial, runtimes)]
    with ExitStack() as stack:
        workers: list[tuple[Trial, Worker]] = []
        for place, trial in enumerate(trials):
            on_progress(f"loading the model by {trial.runtime or 'its own library'}", 0.0)
            worker = Worker(replace(spec, runtime=trial.runtime or spec.runtime))
            stack.enter_context(closing(worker))
            try:
                worker.ready()
            except NaiadError as error:
                if not place:
                    raise
                trial.refused = str(error)
                continue
            workers.append((trial, worker))
        if len(workers) > 1:
            lot = _lot(workers[0][1], requests, seconds / (_ROUNDS + 1) / len(workers))
            for number in range(_ROUNDS + 1):
                for trial, worker in workers if number % 2 else reversed(workers):
                    on_progress(f"by {trial.runtime or 'its own library'}", number / _ROUNDS)
                    run = checked(worker.run(lot))
                    if number:  # the first round warms up
                        trial.seconds.append(run.seconds)
    return trials


def best_runtime(trials: Sequence[Trial]) -> Runtime | None:
    """Return the fastest library, or None if the file's own is as fast."""
    own, *others = trials
    able = [trial for trial in others if trial.seconds]
    best = min(able, key=lambda trial: trial.typical, default=own)
    return best.runtime if best.seconds and best.typical < _GAIN * own.typical else None


def _lot(worker: Worker, requests: Sequence[Request], seconds: float) -> list[Request]:
    """Return accepted requests that take about ``seconds`` one by one; at least one."""
    accepted: list[Request] = []
    for request in _accepted(worker, requests):
        began = time.perf_counter()
        worker.run([request])
        seconds -= time.perf_counter() - began
        accepted.append(request)
        if seconds < 0 or len(accepted) == _MOST:
            break
    if not accepted:
        raise InvalidInput("every request is refused; give others with --data")
    return accepted


def _accepted(worker: Worker, requests: Sequence[Request]) -> Iterator[Request]:
    for request in requests:
        error = worker.run([request]).error
        if error is None:
            yield request
        elif not isinstance(error, InvalidInput):
            raise error
