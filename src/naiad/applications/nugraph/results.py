"""NuGraph3's result for one event, in physicists' terms: tables, named classes, a vertex."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.schema import PLANES
from naiad.errors import MissingExtra, PipelineError
from naiad.tasks.notebook import Shown

try:
    import pandas as pd
except ModuleNotFoundError:
    raise MissingExtra("nugraph3-client", "pandas") from None

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

SIGNAL_THRESHOLD = 0.5
"""Filter score above which a hit counts as made by the neutrino."""

FILTERED = "filtered out"
"""Row of :meth:`NuGraph3Result.counts` for the hits that are not signal."""


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


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of a model's classes, in the order of its scores, and the notice of its weights."""

    semantic: tuple[str, ...]
    event: tuple[str, ...]
    notice: str = ""

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Labels:
        """Read the model's parameters: ``semantic_classes`` and ``event_classes``, each a JSON
        list or names separated by commas, and ``notice``.

        A server that names no classes (any with the wire contract will do) gives empty tuples;
        results then have ``class 0``, ``class 1`` and so on.
        """
        return cls(
            semantic=_names(metadata.get("semantic_classes", "")),
            event=_names(metadata.get("event_classes", "")),
            notice=metadata.get("notice", ""),
        )

    def sized(self, semantic: int, event: int) -> Labels:
        """Return the labels for these numbers of scores, numbered if they have no names.

        Raises:
            PipelineError: the numbers of names and of scores differ.
        """
        return Labels(
            _sized(self.semantic, semantic, "semantic"),
            _sized(self.event, event, "event"),
            self.notice,
        )


HIT_DTYPES: Final[Mapping[str, str]] = {
    "hit_id": "int32",
    "plane": "int32",
    "wire": "int32",
    "time": "float32",
    "integral": "float32",
    "rms": "float32",
    "semantic": "int32",
    "filter": "float32",
}
"""Columns of `NuGraph3Result.columns`, and their dtypes."""


# Without slots: the table of hits is cached on first use.
@dataclass(frozen=True, eq=False)
class NuGraph3Result(Shown):
    """One event as NuGraph3 reconstructs it.

    Attributes:
        run, subrun, event: numbers of the event.
        event_probabilities: softmax of the event scores, by class of neutrino interaction.
        vertex: x, y, z of the neutrino vertex in cm, float32 ``[3]``.
        columns: of the hits, each ``[n]``, as in `HIT_DTYPES`, with planes and likeliest classes
            as numbers. `hits` is the same as a table.
        probabilities: softmax of the semantic scores, float32 ``[n, C]``.
        labels: names of the classes, and the notice of the weights.
        unknown_hits: number of spacepoint entries that name no hit of their plane; ignored.
    """

    run: int
    subrun: int
    event: int
    event_probabilities: Mapping[str, float]
    vertex: NDArray[np.float32]
    columns: Arrays
    probabilities: NDArray[np.float32]
    labels: Labels
    unknown_hits: int = 0

    def __repr__(self) -> str:
        """Return the event, its class, its vertex and the numbers of hits."""
        best = self.event_class
        vertex = ", ".join(f"{one:.1f}" for one in self.vertex)
        return (
            f"NuGraph3Result({self.run}/{self.subrun}/{self.event}: {best} "
            f"{self.event_probabilities[best]:.2f}, vertex ({vertex}) cm, "
            f"{len(self.probabilities):,} hits, {int(self.is_signal.sum()):,} of them signal)"
        )

    @classmethod
    def from_outputs(
        cls, event: EventArrays, outputs: Arrays, labels: Labels | Mapping[str, str]
    ) -> NuGraph3Result:
        """Combine the hits of an ``event`` with the served ``outputs``.

        Args:
            event: the event that was sent.
            outputs: ``e_evt`` (``[1, E]`` or ``[E]``), ``v_evt``, per plane ``x_semantic_p``
                ``[n_p, C]`` and ``x_filter_p`` ``[n_p]``, and optionally ``unknown_hits``.
            labels: the classes, or the model's parameters that name them.

        Raises:
            PipelineError: the outputs do not fit this event.
        """
        arrays = event.arrays()
        plane = np.asarray(arrays["hit_table_local_plane"])
        event_scores = np.asarray(outputs["e_evt"]).reshape(-1)
        num_classes = outputs[f"x_semantic_{PLANES[0]}"].shape[-1]
        if not isinstance(labels, Labels):
            labels = Labels.from_metadata(labels)
        labels = labels.sized(num_classes, len(event_scores))

        semantic = np.zeros((len(plane), num_classes), np.float32)
        signal_score = np.zeros(len(plane), np.float32)
        for number, name in enumerate(PLANES):
            rows = np.flatnonzero(plane == number)
            scores = outputs[f"x_semantic_{name}"]
            if len(scores) != len(rows):
                raise PipelineError(
                    f"x_semantic_{name} has {len(scores)} rows for an event with {len(rows)} hits "
                    f"on plane {name}"
                )
            semantic[rows] = scores
            signal_score[rows] = outputs[f"x_filter_{name}"]
        return cls(
            run=event.run,
            subrun=event.subrun,
            event=event.event,
            event_probabilities=dict(
                zip(labels.event, softmax(event_scores).tolist(), strict=True)
            ),
            vertex=np.asarray(outputs["v_evt"], np.float32).reshape(3),
            columns=hit_columns(
                {
                    "hit_id": arrays["hit_table_hit_id"],
                    "plane": plane,
                    "wire": arrays["hit_table_local_wire"],
                    "time": arrays["hit_table_local_time"],
                    "integral": arrays["hit_table_integral"],
                    "rms": arrays["hit_table_rms"],
                    "semantic": semantic.argmax(axis=1),
                    "filter": signal_score,
                }
            ),
            probabilities=softmax(semantic),
            labels=labels,
            unknown_hits=int(np.asarray(outputs.get("unknown_hits", 0)).reshape(-1)[0]),
        )

    @cached_property
    def hits(self) -> pd.DataFrame:
        """One row per hit, in the order of the event's hit table: ``hit_id``, ``plane`` (u, v, y),
        ``wire``, ``time`` (ticks), ``integral`` (ADC), ``rms`` (ticks), ``semantic`` (the likeliest
        class), ``p_<class>`` (softmax of the semantic scores), ``filter`` (probability that the hit
        is signal), ``signal`` (filter above 0.5).
        """
        columns, labels = self.columns, self.labels
        # All at once: adding column by column takes pandas ten times as long.
        return pd.DataFrame(
            {
                "hit_id": columns["hit_id"],
                "plane": _named(columns["plane"], PLANES),
                **{name: columns[name] for name in ("wire", "time", "integral", "rms")},
                "semantic": _named(columns["semantic"], labels.semantic),
                **{
                    f"p_{name}": p
                    for name, p in zip(labels.semantic, self.probabilities.T, strict=True)
                },
                "filter": columns["filter"],
                "signal": self.is_signal,
            }
        )

    @property
    def is_signal(self) -> NDArray[np.bool_]:
        """True for each hit that the filter keeps."""
        return self.columns["filter"] > SIGNAL_THRESHOLD

    @property
    def event_class(self) -> str:
        """The likeliest class of interaction."""
        return max(self.event_probabilities, key=self.event_probabilities.__getitem__)

    @property
    def notice(self) -> str:
        """The notice of the weights that gave this result."""
        return self.labels.notice

    @property
    def signal(self) -> pd.DataFrame:
        """The hits that the filter keeps."""
        return self.hits.loc[self.hits["signal"]]

    def counts(self) -> pd.DataFrame:
        """Count the signal hits per semantic class (rows) and plane (columns), int64.

        The last row, :data:`FILTERED`, has the hits that are not signal.
        """
        names = [*self.labels.semantic, FILTERED]
        rows = np.where(self.is_signal, self.columns["semantic"], len(names) - 1)
        table = np.zeros((len(names), len(PLANES)), np.int64)
        np.add.at(table, (rows, self.columns["plane"]), 1)
        return pd.DataFrame(table, names, list(PLANES))


def hit_columns(columns: Arrays) -> dict[str, NDArray[Any]]:
    """Return arrays as `NuGraph3Result.columns`, in their dtypes."""
    return {name: np.asarray(columns[name]).astype(kind) for name, kind in HIT_DTYPES.items()}


def softmax(scores: NDArray[Any]) -> NDArray[np.float32]:
    """Return the softmax over the last axis, computed in float64."""
    shifted = np.asarray(scores, np.float64)
    weights = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


def _named(numbers: NDArray[Any], names: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical.from_codes(numbers.astype(np.int8), list(names))


def _names(text: str) -> tuple[str, ...]:
    if text.lstrip().startswith("["):
        return tuple(str(name) for name in json.loads(text))
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _sized(names: tuple[str, ...], size: int, kind: str) -> tuple[str, ...]:
    if not names:
        return tuple(f"class {number}" for number in range(size))
    if len(names) != size:
        raise PipelineError(
            f"the model names {len(names)} {kind} classes ({', '.join(names)}), "
            f"but has scores for {size}"
        )
    return names
