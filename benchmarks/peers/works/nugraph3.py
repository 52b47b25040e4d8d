"""NuGraph3 on small events: raw hits in, labels out, by the preparation and network of Naiad.

Peers get Naiad's own compiled functions, merging too: the reference of ``make bench`` has the plain
ones. The difference that is left is that of the servers.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.codec import Arrays
from benchmarks.peers.works import Predict, Work


def make(number: int) -> list[Arrays]:
    from benchmarks.nugraph3.inputs import simulated

    return [dict(request) for request in simulated("small", number).requests]


def load() -> Predict:
    from naiad.applications.nugraph.schema import INPUTS
    from naiad.core.pipeline import Request
    from naiad.core.schema import validate
    from naiad.errors import NaiadError
    from naiad.runtime.spec import Spec
    from naiad.runtime.worker import load as runner_of

    # By its class: peers' environments have Naiad's source, but no entry points.
    runner = runner_of(Spec("naiad.applications.nugraph.pipeline:NuGraph3", None, "cpu", threads=1))

    def predict(requests: Sequence[Arrays]) -> list[Arrays]:
        checked = [Request(arrays, validate(INPUTS, arrays)) for arrays in requests]
        answers: list[Arrays] = []
        for outcome in runner.run(checked).outcomes:
            if isinstance(outcome, NaiadError):
                raise outcome
            answers.append(outcome)
        return answers

    return predict


WORK = Work(
    title="NuGraph3, small events, from raw hits",
    pipeline="nugraph3",
    tolerance=1e-4,
    batch=16,
    most=16 * 240,
    size=lambda request: len(request["hit_table_hit_id"]),
    make=make,
    load=load,
)
