"""A lane: one worker, and the thread that brings it batches and replaces it when it is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from naiad.batching import Batcher, add_sizes
from naiad.error_text import described
from naiad.errors import PipelineError, Unavailable
from naiad.runtime.circuit import Circuit
from naiad.runtime.executor import Executor, WorkerLost
from naiad.runtime.runner import Report
from naiad.runtime.ticket import Meter, Ticket
from naiad.schema import REQUESTS

_log = logging.getLogger(__name__)
_PULSE = 0.25  # seconds between two looks at an idle worker


class Lane:
    """Serves a queue with one executor until the queue is closed and empty.

    A worker that dies or hangs is replaced, also while it is idle. The requests it had are run
    once more, each alone: the one that killed it is then known. Where workers keep failing, the
    lane rests as its ``circuit`` says, and other lanes go on.
    """

    def __init__(
        self,
        name: str,
        executor: Executor,
        batcher: Batcher[Ticket],
        meter: Meter,
        *,
        on_rest: Callable[[], None],
        on_batch: Callable[[Mapping[str, int], float], None] | None = None,
    ) -> None:
        """Serve ``batcher`` with a started ``executor``.

        ``on_rest`` is told of each rest, ``on_batch`` of the sizes of what was run together and
        how many seconds it took until all were answered.
        """
        self.circuit = Circuit()
        self._executor = executor
        self._batcher = batcher
        self._meter = meter
        self._on_rest = on_rest
        self._on_batch = on_batch
        self._down = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Let a rest end now; a lane that does not rest goes on until the queue is empty."""
        self._closing.set()

    def join(self) -> None:
        """Wait until the lane has ended, and end its worker."""
        self._thread.join()
        self._executor.close()

    def _work(self) -> None:
        while True:
            if not self._revive():
                self._on_rest()
                if self._closing.wait(self.circuit.rest):
                    return
                continue
            # On trial, one request at a time: no more of them are harmed than need be.
            tickets = self._batcher.take(_PULSE, most=1 if self.circuit.on_trial else None)
            if tickets:
                now = time.perf_counter()
                self._meter.stage("queue", sum(now - ticket.arrived for ticket in tickets))
                self._serve(tickets)
            elif tickets is not None:
                return

    def _serve(self, tickets: list[Ticket], *, again: bool = False) -> None:
        tickets = self._wanted(tickets)
        if not tickets:
            return
        began = time.perf_counter()
        try:
            report = self._executor.run([ticket.request for ticket in tickets])
        except WorkerLost as lost:
            _log.error("%s; %d request(s) were with it", lost, len(tickets))
            self._lost(lost)
            if again:
                (ticket,) = tickets
                error = Unavailable(f"{lost}, and did so with this request alone")
                ticket.answer(error, self._meter)
            else:
                self._serve_again(tickets)
        except Exception as error:
            # Nobody may be left waiting, whatever went wrong; and what such a worker says next
            # might be the answer to this batch.
            _log.exception("a batch failed inside Naiad")
            for ticket in tickets:
                ticket.answer(PipelineError(f"internal error: {described(error)}"), self._meter)
            self._lost(WorkerLost(f"internal error: {described(error)}", "internal"))
        else:
            if self.circuit.on_trial:
                _log.warning("the worker answers again")
            self.circuit.succeeded()
            self._deliver(tickets, report)
            if self._on_batch is not None:
                sizes: dict[str, int] = {}
                for ticket in tickets:
                    add_sizes(sizes, ticket.request.sizes)
                sizes[REQUESTS] = len(tickets)
                self._on_batch(sizes, time.perf_counter() - began)

    def _serve_again(self, tickets: list[Ticket]) -> None:
        for ticket in tickets:
            if self._revive():
                self._serve([ticket], again=True)
            else:
                ticket.answer(Unavailable(refusal(self.circuit)), self._meter)

    def _wanted(self, tickets: list[Ticket]) -> list[Ticket]:
        wanted: list[Ticket] = []
        for ticket in tickets:
            error = ticket.unwanted()
            if error is None:
                wanted.append(ticket)
            else:
                ticket.answer(error, self._meter)
        return wanted

    def _deliver(self, tickets: list[Ticket], report: Report) -> None:
        for ticket, outcome in zip(tickets, report.outcomes, strict=True):
            ticket.answer(outcome, self._meter)
        for batch in report.batches:
            self._meter.batch(batch)
        for stage, seconds in report.seconds.items():
            self._meter.stage(stage, seconds)

    def _lost(self, lost: WorkerLost) -> None:
        self._down = True
        self._meter.restart(lost.kind)
        self.circuit.failed(str(lost))
        if rest := self.circuit.rest:
            _log.error("%s; next trial in %.0f s", refusal(self.circuit), rest)
        self._executor.close()

    def _revive(self) -> bool:
        """Make sure of a living worker; False while the circuit is open."""
        if not self._down and (lost := self._executor.lost()):
            _log.error("%s while it was idle", lost)
            self._lost(lost)
        while self._down:
            if self.circuit.rest:
                return False
            try:
                self._executor.start()
            except Exception as error:
                _log.error("a worker could not be started: %s", error)
                self._lost(WorkerLost(f"a worker could not be started: {error}", "not_loaded"))
            else:
                self._down = False
        return True


def refusal(circuit: Circuit) -> str:
    """What a request is told that is not run because workers keep failing."""
    return f"the model's worker failed {circuit.failures} times in a row ({circuit.reason})"
