"""A model as a service: the queue, its executors, and exactly one reply per request."""

from __future__ import annotations

import math
from collections.abc import Sequence

from naiad.batching import Batcher, LatencyTarget
from naiad.cost import Cost, Learner
from naiad.errors import NaiadError, PipelineError, Unavailable
from naiad.pipeline import Pipeline
from naiad.runtime.executor import Executor, ProcessExecutor, ThreadExecutor
from naiad.runtime.lane import Lane, refusal
from naiad.runtime.spec import Spec
from naiad.runtime.ticket import Meter, Ticket
from naiad.schema import REQUESTS, sized_dims


class Service:
    """Batches requests and runs them on several executors that share one queue."""

    def __init__(
        self,
        executors: Sequence[Executor],
        meter: Meter,
        *,
        queue_capacity: int = Pipeline.queue_capacity,
        max_queue_delay: float = Pipeline.max_queue_delay,
        latency_target: float | None = None,
        cost: Cost | None = None,
    ) -> None:
        """Start every executor; they load at the same time where they are processes.

        Where there is a ``latency_target``, in seconds, batches are kept small enough for it by
        what they are found to cost; ``cost`` is what is believed of that to begin with.

        Raises:
            NaiadError: the model could not be loaded.
        """
        self._meter = meter
        try:
            for executor in executors:
                if isinstance(executor, ProcessExecutor):
                    executor.launch()
            contracts = [executor.start() for executor in executors]
        except BaseException:
            for executor in executors:
                executor.close()
            raise
        self.contract = contracts[0]
        """What a request must be."""
        target, learn = None, None
        if latency_target is not None:
            learner = Learner([REQUESTS, *sized_dims(self.contract.inputs)], cost)
            target, learn = LatencyTarget(latency_target, learner.seconds), learner.learn
        self._batcher: Batcher[Ticket] = Batcher(
            self.contract.budget,
            capacity=queue_capacity,
            waiting=self.contract.waiting,
            max_queue_delay=max_queue_delay,
            latency_target=target,
        )
        self._lanes = [
            Lane(
                f"naiad-lane-{number}",
                executor,
                self._batcher,
                meter,
                on_rest=self._shed,
                on_batch=learn,
            )
            for number, executor in enumerate(executors)
        ]
        for lane in self._lanes:
            lane.start()

    def submit(self, ticket: Ticket) -> None:
        """Queue a request; it is answered at once where it cannot be queued."""
        try:
            self.contract.limit.refuse_oversize(ticket.request.sizes)
            self._batcher.put(ticket, ticket.request.sizes, priority=ticket.priority)
        except NaiadError as error:
            ticket.answer(error, self._meter)
        else:
            # After the request is queued, so that a lane that rests from now on sheds it.
            self._shed()

    def close(self) -> None:
        """Answer everything that waits, then end the executors."""
        self._batcher.close()
        for lane in self._lanes:
            lane.close()
        for lane in self._lanes:
            lane.join()
        for ticket in self._batcher.drain():
            ticket.answer(Unavailable("the model is being unloaded"), self._meter)

    def _shed(self) -> None:
        """Refuse all that waits while every lane rests."""
        rests = [lane.circuit.rest for lane in self._lanes]
        if not all(rests):
            return
        reason = refusal(self._lanes[0].circuit)
        error = Unavailable(f"{reason}; try again in about {math.ceil(min(rests))} s")
        for ticket in self._batcher.drain():
            ticket.answer(error, self._meter)


def make_executors(
    spec: Spec, *, instances: int, kind: str = "process", watchdog: float = Pipeline.watchdog
) -> list[Executor]:
    """Executors for ``instances`` copies of a model; ``kind`` is ``process`` or ``thread``.

    A process that takes longer than ``watchdog`` seconds over one batch is killed.
    """
    if kind == "thread":
        return [ThreadExecutor(spec) for _ in range(instances)]
    if kind != "process":
        raise PipelineError(f"executor {kind!r}: it must be process or thread")
    return [ProcessExecutor(spec, watchdog=watchdog) for _ in range(instances)]
