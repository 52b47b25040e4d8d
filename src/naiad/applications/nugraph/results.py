"""The result of a NuGraph network for one event, in physicists' terms: tables and named classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.heads import HEADS, SIGNAL_THRESHOLD, Head, Labels, Part
from naiad.applications.nugraph.result_columns import named_columns
from naiad.applications.nugraph.schema import PLANES
from naiad.errors import MissingExtra, PipelineError
from naiad.tasks.notebook import Shown

try:
    import pandas as pd
except ModuleNotFoundError:
    raise MissingExtra("nugraph3-client", "pandas") from None

__all__ = [
    "FILTERED",
    "HIT_DTYPES",
    "SIGNAL_THRESHOLD",
    "Labels",
    "NuGraph2Result",
    "NuGraph3Result",
    "NuGraphResult",
]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

FILTERED = "filtered out"
"""Row of :meth:`NuGraphResult.counts` for the hits that are not signal."""

_SENT: Final = {
    "hit_id": "hit_table_hit_id",
    "plane": "hit_table_local_plane",
    "wire": "hit_table_local_wire",
    "time": "hit_table_local_time",
    "integral": "hit_table_integral",
    "rms": "hit_table_rms",
}


class EventArrays(Protocol):
    """The parts of an event that results need: its numbers, and its hits as sent."""

    @property
    def run(self) -> int:
        """Run number."""
        ...

    @property
    def subrun(self) -> int:
        """Subrun number."""
        ...

    @property
    def event(self) -> int:
        """Event number."""
        ...

    def arrays(self) -> Arrays:
        """Return the tensors of the request, as ``schema.INPUTS`` names them."""
        ...


HIT_DTYPES: Final[Mapping[str, str]] = {
    "hit_id": "int32",
    "plane": "int32",
    "wire": "int32",
    "time": "float32",
    "integral": "float32",
    "rms": "float32",
}
"""Columns of `NuGraphResult.columns`, and their dtypes."""


# Without slots: the table of hits is cached on first use.
@dataclass(frozen=True, eq=False)
class NuGraphResult(Shown):
    """One event as NuGraph2 or NuGraph3 reconstructs it.

    It has the parts of the model's heads (:data:`naiad.applications.nugraph.heads.HEADS`); an
    attribute of a head that the model lacks raises `AttributeError`. So the result of NuGraph2 has
    no ``event_class`` and no ``vertex``.

    Attributes:
        run, subrun, event: numbers of the event.
        columns: of the hits as sent, each ``[n]``, as in `HIT_DTYPES`, with planes as numbers.
        values: arrays by the names of the heads' parts, ``[n]`` or ``[n, k]`` for hits, ``[]`` or
            ``[k]`` for the event, with classes as numbers. `hits` has those of hits as a table.
        labels: heads of the model, names of its classes, and the notice of its weights.
        unknown_hits: number of spacepoint entries that name no hit of their plane; ignored.
    """

    run: int
    subrun: int
    event: int
    columns: Arrays
    values: Arrays
    labels: Labels
    unknown_hits: int = 0

    def __repr__(self) -> str:
        """Return the event, its class, its vertex and the numbers of hits."""
        facts = [f"{self.num_hits:,} hits"]
        if self.has("filter"):
            facts.append(f"{int(self.is_signal.sum()):,} of them signal")
        if self.has("vertex"):
            facts.insert(0, f"vertex ({', '.join(f'{one:.1f}' for one in self.vertex)}) cm")
        if self.has("event"):
            best = self.event_class
            facts.insert(0, f"{best} {self.event_probabilities[best]:.2f}")
        where = f"{self.run}/{self.subrun}/{self.event}"
        return f"{self.labels.title}Result({where}: {', '.join(facts)})"

    @property
    def num_hits(self) -> int:
        """Number of hits of the event."""
        return len(self.columns["hit_id"])

    @classmethod
    def from_outputs(
        cls, event: EventArrays, outputs: Arrays, labels: Labels | Mapping[str, str]
    ) -> NuGraphResult:
        """Combine the hits of an ``event`` with the served ``outputs``.

        Args:
            event: the event that was sent.
            outputs: of the model's heads, by their names on the wire: per plane ``x_semantic_p``
                ``[n_p, C]`` and ``x_filter_p`` ``[n_p]``, ``e_evt`` (``[1, E]`` or ``[E]``),
                ``v_evt``; and optionally ``unknown_hits``.
            labels: the heads and classes, or the model's parameters that name them; if these name
                no heads, they are those of the outputs.

        Raises:
            PipelineError: the outputs do not fit this event or these heads.
        """
        arrays = event.arrays()
        if not isinstance(labels, Labels):
            given = tuple(
                head.name for head in HEADS.values() if not outputs.keys().isdisjoint(_wire(head))
            )
            labels = Labels.from_metadata(labels, given)
        plane = np.asarray(arrays["hit_table_local_plane"])
        joined = {name: _joined(outputs, HEADS[name], plane) for name in labels.heads}
        labels = labels.sized(
            {head.along: joined[name].shape[-1] for name in joined if (head := HEADS[name]).along}
        )
        return cls(
            run=event.run,
            subrun=event.subrun,
            event=event.event,
            columns=hit_columns({name: arrays[sent] for name, sent in _SENT.items()}),
            values={
                part.name: part.make(joined[name]).astype(part.dtype)
                for name in labels.heads
                for part in HEADS[name].parts
                if not part.source
            },
            labels=labels,
            unknown_hits=int(np.asarray(outputs.get("unknown_hits", 0)).reshape(-1)[0]),
        )

    def has(self, head: str) -> bool:
        """Return whether the model has a head: semantic, filter, event, vertex, ..."""
        return head in self.labels.heads

    def part(self, part: Part) -> NDArray[Any]:
        """Return the array of a part of the model's heads.

        Raises:
            AttributeError: the model lacks its head.
        """
        if part.source:
            return part.make(self._value(part.source))
        return self._value(part.name)

    @cached_property
    def hits(self) -> pd.DataFrame:
        """One row per hit, in the order of the event's hit table.

        Its columns are ``hit_id``, ``plane`` (u, v, y), ``wire``, ``time`` (ticks), ``integral``
        (ADC), ``rms`` (ticks), and those of the model's heads: ``semantic`` (the likeliest class),
        ``p_<class>`` (softmax of the semantic scores), ``filter`` (probability that the hit is
        signal), ``signal`` (filter above 0.5).
        """
        columns, labels = self.columns, self.labels
        values: dict[str, Any] = {
            "hit_id": columns["hit_id"],
            "plane": _named(columns["plane"], PLANES),
            **{name: columns[name] for name in ("wire", "time", "integral", "rms")},
        }
        for part in labels.parts(per_hit=True):
            for name, column in named_columns(part, self.part(part), labels):
                values[name] = (
                    _named(column, labels.names(part.categories)) if part.categories else column
                )
        # All at once: adding column by column takes pandas ten times as long.
        return pd.DataFrame(values)

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Softmax of the semantic scores, float32 ``[n, C]``."""
        return self._value("probabilities")

    @property
    def is_signal(self) -> NDArray[np.bool_]:
        """True for each hit that the filter keeps."""
        return self._value("filter") > SIGNAL_THRESHOLD

    @property
    def is_kept(self) -> NDArray[np.bool_]:
        """True for each signal hit; for all hits if the model has no filter."""
        return self.is_signal if self.has("filter") else np.ones(self.num_hits, np.bool_)

    @property
    def event_probabilities(self) -> Mapping[str, float]:
        """Softmax of the event scores, by class of neutrino interaction."""
        values = self._value("event_probabilities")
        return dict(zip(self.labels.event, values.tolist(), strict=True))

    @property
    def event_class(self) -> str:
        """The likeliest class of interaction."""
        return self.labels.event[int(self._value("event_class"))]

    @property
    def vertex(self) -> NDArray[np.float32]:
        """Position x, y, z of the neutrino vertex in cm, float32 ``[3]``."""
        return self._value("vertex")

    @property
    def num_particles(self) -> int:
        """Number of particles that hits are assigned to."""
        particles = self._value("particle")
        return len(np.unique(particles[particles >= 0]))

    @property
    def notice(self) -> str:
        """The notice of the weights that gave this result."""
        return self.labels.notice

    @property
    def signal(self) -> pd.DataFrame:
        """The hits that the filter keeps."""
        return self.hits.loc[self.is_signal]

    def counts(self) -> pd.DataFrame:
        """Count the signal hits per semantic class (rows) and plane (columns), int64.

        The last row, :data:`FILTERED`, has the hits that are not signal. Without a semantic head
        all signal hits are in one row, ``signal``; without a filter, no hit is filtered out.
        """
        if self.has("semantic"):
            names, rows = list(self.labels.semantic), self.values["semantic"]
        else:
            names, rows = ["signal"], np.zeros(self.num_hits, np.int32)
        if self.has("filter"):
            names.append(FILTERED)
            rows = np.where(self.is_signal, rows, len(names) - 1)
        table = np.zeros((len(names), len(PLANES)), np.int64)
        np.add.at(table, (rows, self.columns["plane"]), 1)
        return pd.DataFrame(table, names, list(PLANES))

    def _value(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            heads = ", ".join(self.labels.heads)
            raise AttributeError(
                f"the result has no {name}: the model has the heads {heads}"
            ) from None


NuGraph2Result = NuGraph3Result = NuGraphResult
"""The result of either network; the model's heads make the difference."""


def hit_columns(columns: Arrays) -> dict[str, NDArray[Any]]:
    """Return arrays as `NuGraphResult.columns`, in their dtypes."""
    return {name: np.asarray(columns[name]).astype(kind) for name, kind in HIT_DTYPES.items()}


def _wire(head: Head) -> list[str]:
    return head.outputs(PLANES)


def _joined(outputs: Arrays, head: Head, plane: NDArray[Any]) -> NDArray[Any]:
    """Return a head's output for one event, those of hits in table order."""
    for name in _wire(head):
        if name not in outputs:
            raise PipelineError(
                f"the answer has no {name}, which a model with the head {head.name!r} gives; it "
                f"has {', '.join(outputs)}"
            )
    if not head.per_hit:
        return np.asarray(outputs[head.output]).reshape(-1)
    first = np.asarray(outputs[_wire(head)[0]])
    joined = np.zeros((len(plane), *first.shape[1:]), head.dtype)
    for number, name in enumerate(PLANES):
        rows = np.flatnonzero(plane == number)
        wire = f"{head.output}_{name}"
        values = np.asarray(outputs[wire])
        if len(values) != len(rows):
            raise PipelineError(
                f"{wire} has {len(values)} rows for an event with {len(rows)} hits on plane {name}"
            )
        joined[rows] = values
    return joined


def _named(numbers: NDArray[Any], names: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical.from_codes(numbers.astype(np.int8), list(names))
