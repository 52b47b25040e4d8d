"""Processing of chunks on a Ray cluster: the pipeline runs in Ray's actors, without Triton.

Ray Data distributes the chunks to a pool of actors. Each holds the pipeline, set up once, and runs
it as a worker of a server does. Actors read the inputs and write their parts themselves, so inputs
and results must be in folders that all nodes see under the same path. If a node dies, its chunk is
processed again on another, unless it is on disk already. An item that repeatedly kills its actor is
skipped: see :mod:`naiad.bulk.attempts`.
"""

from __future__ import annotations

import gc
import itertools
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from naiad.bulk.application import Bulk, Json
from naiad.bulk.attempts import Attempts
from naiad.bulk.engine import Advance, versions
from naiad.bulk.inputs import Chunk
from naiad.bulk.journal import Part, Record, read_record
from naiad.bulk.reading import Reader, Reading
from naiad.core.pipeline import Request, load_pipeline, spec_with_weights
from naiad.errors import EngineError, MissingExtra, NaiadError
from naiad.runtime.environment import numeric_environment
from naiad.runtime.runner import Outcome, Runner
from naiad.runtime.spec import Spec
from naiad.runtime.worker import load
from naiad.typed_json import decode

_WINDOW: Final = 16
"""Items that an actor holds at once; the runner cuts them into batches by the budget."""

_SHARED: Final = 60.0
"""Seconds until all machines see a file that one has written to a shared folder."""

_LOCAL_STORE: Final = 128 << 20
"""Bytes of the object store of a Ray started here; it only holds records of chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaySettings:
    """Settings of the actors.

    Attributes:
        address: of a cluster, ``host:port`` or ``auto``; None starts one on this machine.
        actors: their number; None: one per CPU of the cluster, or per GPU.
        device: ``"cpu"`` or ``"cuda"``, for which each actor has a GPU of its own.
    """

    address: str | None = None
    actors: int | None = None
    device: str = "cpu"


class OnRay:
    """Engine that processes chunks on a Ray cluster."""

    def __init__(self, application: str, weights: Path | None, settings: RaySettings) -> None:
        """Read the model's metadata; start nothing yet.

        Raises:
            MissingExtra: Ray is not installed.
            WeightsError: the weights are missing, or those of another application.
        """
        _ = _ray()
        application, weights = spec_with_weights(application, weights)
        pipeline = load_pipeline(application)(weights)
        self.metadata = dict(pipeline.metadata())
        self._settings = settings
        self._spec = Spec(
            pipeline=application,
            weights=None if weights is None else str(weights.resolve()),
            device="cuda:0" if settings.device == "cuda" else settings.device,
        )

    def about(self) -> Json:
        """Return the device and the versions of packages."""
        return {
            "engine": "ray",
            "device": self._spec.device,
            "packages": versions("ray", "numpy", "torch", "numba", "scipy"),
        }

    def __enter__(self) -> OnRay:
        """Join the cluster, or start one.

        Raises:
            EngineError: no cluster is at the address, or it has too few CPUs or GPUs.
        """
        ray = _ray()
        # No usage statistics, unless the user has asked for them.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"address": self._settings.address}
        if self._settings.address is None:
            options = {
                "address": "local",
                "object_store_memory": _LOCAL_STORE,
                "include_dashboard": False,
            }
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**options, log_to_driver=False, logging_level="ERROR")
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_sigterm)  # Ray has replaced it
        except Exception as error:  # no narrower: a node that does not start in time raises it
            ray.shutdown()
            raise EngineError(
                f"Ray at {self._settings.address or 'this machine'}: {error}"
            ) from None
        kind = "GPU" if self._settings.device == "cuda" else "CPU"
        places = int(ray.cluster_resources().get(kind, 0))
        self._actors = self._settings.actors or places
        if not 1 <= self._actors <= places:
            ray.shutdown()
            raise EngineError(
                f"the Ray cluster has {places} {kind}s; "
                f"{self._actors or 'some'} are needed, one for each actor"
            )
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cluster; stop one that was started here."""
        _ray().shutdown()

    def run(self, bulk: Bulk, chunks: Iterable[Chunk], advance: Advance) -> Iterator[Record]:
        """Process the chunks, in any order."""
        import ray.data
        from ray.exceptions import RayError

        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        rows = [{"chunk": _packed(chunk)} for chunk in chunks]
        if not rows:
            return
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Worker,
            fn_constructor_args=(self._spec, bulk, self.metadata),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(self._actors, len(rows))),
            num_cpus=1,
            num_gpus=1 if self._settings.device == "cuda" else None,
            runtime_env={"env_vars": numeric_environment(1)},
        )
        try:
            for row in done.iter_rows():
                record = _seen(_unpacked(row["chunk"]))
                advance(record.chunk.stop - record.chunk.first, len(record.failures))
                yield record
        except RayError as error:
            raise EngineError(f"Ray: {_cause(error)}") from error


class Worker:
    """An actor's work: a pipeline that has been set up, and the reader of its input."""

    def __init__(self, spec: Spec, bulk: Bulk, metadata: dict[str, str]) -> None:
        """Set up the pipeline, as a server's worker does."""
        self._runner = load(spec)
        self._bulk = bulk
        self._metadata = metadata
        self._reader = Reader(bulk)
        gc.collect()
        gc.freeze()

    def __call__(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Process the chunks of a batch that are not on disk yet."""
        for packed in batch["chunk"]:
            chunk = _unpacked(packed)
            if read_record(chunk) is None:
                self._do(chunk)
        return batch

    def _do(self, chunk: Chunk) -> None:
        part = Part(self._bulk, chunk, self._metadata)
        attempts = Attempts(chunk)
        try:
            readings = self._reader.read([chunk])
            size = 1 if attempts.one_by_one else _WINDOW
            while window := list(itertools.islice(readings, size)):
                outcomes = self._outcomes(part.next, window, attempts)
                for reading, outcome in zip(window, outcomes, strict=True):
                    part.add(reading.name, reading.item, outcome)
            part.commit()
        except BaseException:
            part.discard()
            raise

    def _outcomes(
        self, first: int, window: list[Reading], attempts: Attempts
    ) -> list[Outcome | Exception]:
        if attempts.one_by_one and (deaths := attempts.deaths(first)):
            return [NaiadError(f"{deaths} processes have died on it")]
        outcomes = answers(self._runner, self._bulk, self._metadata, window)
        attempts.survived(first)
        return outcomes


def answers(
    runner: Runner, bulk: Bulk, metadata: Mapping[str, str], readings: Iterable[Reading]
) -> list[Outcome | Exception]:
    """Return a server's answer to each reading, computed by ``runner``."""
    outcomes: list[Outcome | Exception] = []
    requests: dict[int, Request] = {}
    for number, reading in enumerate(readings):
        outcomes.append(NaiadError("not run"))
        if isinstance(reading.item, Exception):
            outcomes[number] = reading.item
            continue
        try:
            asked = bulk.request(reading.item, metadata)
            request = runner.contract.request(asked.arrays, asked.id, asked.parameters)
            runner.contract.limit.refuse_oversize(request.sizes)
        except NaiadError as error:
            outcomes[number] = error
        else:
            requests[number] = request
    report = runner.run(list(requests.values()))
    for number, outcome in zip(requests, report.outcomes, strict=True):
        outcomes[number] = outcome
    return outcomes


def _seen(chunk: Chunk) -> Record:
    """Return the record of a chunk that another machine may have written.

    Raises:
        NaiadError: it is not visible from here.
    """
    until = time.monotonic() + _SHARED
    while time.monotonic() < until:
        record = read_record(chunk)
        if record is not None and (chunk.part.exists() or not record.written):
            return record
        time.sleep(0.2)
    raise NaiadError(
        f"{chunk.record} was written by a node of the cluster, but is not visible here: inputs and "
        "results must be in folders that all nodes share"
    )


def _packed(chunk: Chunk) -> str:
    return json.dumps(asdict(chunk), default=str)


def _unpacked(packed: str) -> Chunk:
    return decode(packed, Chunk)


def _cause(error: Exception) -> str:
    """Return the last line of an actor's error, below its traceback."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "ray") from None
    return ray
