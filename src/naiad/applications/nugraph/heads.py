"""The heads of the networks: each one's output on the wire, and its arrays in results.

Schemas, results, tables, files, reports and pictures loop over the heads that a model has: what is
said of one here is said nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from naiad.core.schema import REQUESTS, Tensor
from naiad.errors import PipelineError

Along = Literal["", "semantic", "event", "xyz", "coordinates"]
"""Names of the columns of a two-dimensional array: classes, axes, or numbers; "" for one value."""

SIGNAL_THRESHOLD: Final = 0.5
"""Filter score above which a hit counts as made by the neutrino."""


def softmax(scores: NDArray[Any]) -> NDArray[np.float32]:
    """Return the softmax over the last axis, computed in float64."""
    shifted = np.asarray(scores, np.float64)
    weights = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


def _same(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _likeliest(scores: NDArray[Any]) -> NDArray[np.int32]:
    return scores.argmax(axis=-1).astype(np.int32)


def _signal(scores: NDArray[Any]) -> NDArray[np.bool_]:
    return scores > SIGNAL_THRESHOLD


@dataclass(frozen=True, slots=True)
class Part:
    """An array that results keep of a head, and its columns in tables and files.

    Attributes:
        name: in ``NuGraphResult.values``.
        dtype: of its numbers.
        doc: of a column; ``{}`` stands for the column's name in ``along``.
        column: name of a column in tables, also with ``{}``.
        hdf5: name of the dataset in HDF5 files; "" if it is not stored, as it follows from
            ``source``.
        make: makes the array from the head's output, or from the part ``source``.
        along: the columns of the array.
        categories: classes that the numbers are indices of.
        unit: physical unit.
        source: part that this one follows from.
    """

    name: str
    dtype: str
    doc: str
    column: str
    hdf5: str
    make: Callable[[NDArray[Any]], NDArray[Any]] = _same
    along: Along = ""
    categories: Along = ""
    unit: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """A head: its output on the wire, and the parts of results that come of it.

    Attributes:
        name: of the head, as in ``Labels.heads``.
        output: name on the wire, to which each plane's is appended if it is ``per_hit``.
        per_hit: a row per hit of a plane; else one per event.
        dtype: on the wire.
        doc: of the output; ``{}`` stands for ``each hit on plane u``.
        parts: of results.
        along: the columns of the output.
        unit: physical unit.
        no_batch: the configuration declares the output of an event without its leading 1.
    """

    name: str
    output: str
    per_hit: bool
    dtype: str
    doc: str
    parts: tuple[Part, ...]
    along: Along = ""
    unit: str = ""
    no_batch: bool = False

    def outputs(self, planes: Iterable[str]) -> list[str]:
        """Return the names on the wire."""
        return [f"{self.output}_{plane}" for plane in planes] if self.per_hit else [self.output]


HEADS: Final[Mapping[str, Head]] = {
    head.name: head
    for head in (
        Head(
            name="semantic",
            output="x_semantic",
            per_hit=True,
            dtype="float32",
            doc="score (logit) per semantic class of {}, in table order",
            along="semantic",
            parts=(
                Part(
                    name="semantic",
                    dtype="int32",
                    doc="likeliest class of the hit",
                    column="semantic",
                    hdf5="semantic",
                    make=_likeliest,
                    categories="semantic",
                ),
                Part(
                    name="probabilities",
                    dtype="float32",
                    doc="probability of {}",
                    column="p_{}",
                    hdf5="probability",
                    make=softmax,
                    along="semantic",
                ),
            ),
        ),
        Head(
            name="filter",
            output="x_filter",
            per_hit=True,
            dtype="float32",
            doc="probability that {} is signal, in table order",
            parts=(
                Part(
                    name="filter",
                    dtype="float32",
                    doc="probability that the neutrino made the hit",
                    column="filter",
                    hdf5="filter",
                ),
                Part(
                    name="signal",
                    dtype="bool",
                    doc="filter is above 0.5",
                    column="signal",
                    hdf5="",
                    make=_signal,
                    source="filter",
                ),
            ),
        ),
        Head(
            name="condensation",
            output="of",
            per_hit=True,
            dtype="float32",
            doc="condensation of {}, 0 to 1, in table order: near 1 for the hit that stands for "
            "its particle",
            parts=(
                Part(
                    name="condensation",
                    dtype="float32",
                    doc="near 1 for the hit that stands for its particle",
                    column="condensation",
                    hdf5="condensation",
                ),
            ),
        ),
        Head(
            name="coordinates",
            output="ox",
            per_hit=True,
            dtype="float32",
            doc="learned coordinates of {}, in table order; hits of one particle are near",
            along="coordinates",
            parts=(
                Part(
                    name="coordinates",
                    dtype="float32",
                    doc="learned coordinate {}; hits of one particle are near",
                    column="coordinate_{}",
                    hdf5="coordinate",
                    along="coordinates",
                ),
            ),
        ),
        Head(
            name="particle",
            output="i",
            per_hit=True,
            dtype="int32",
            doc="particle of {}, numbered in the event across planes, in table order; -1 for none",
            parts=(
                Part(
                    name="particle",
                    dtype="int32",
                    doc="particle of the hit, numbered in its event; -1 for none",
                    column="particle",
                    hdf5="particle",
                ),
            ),
        ),
        Head(
            name="position",
            output="x_position",
            per_hit=True,
            dtype="float32",
            doc="position x, y, z in space of {}, in table order",
            along="xyz",
            unit="cm",
            parts=(
                Part(
                    name="position",
                    dtype="float32",
                    doc="{} of the hit in space",
                    column="position_{}",
                    hdf5="position",
                    along="xyz",
                    unit="cm",
                ),
            ),
        ),
        Head(
            name="event",
            output="e_evt",
            per_hit=False,
            dtype="float32",
            doc="score (logit) per event class",
            along="event",
            # The original's config.pbtxt declares [4], its model answers [1, 4]; clients accept
            # both.
            no_batch=True,
            parts=(
                Part(
                    name="event_class",
                    dtype="int32",
                    doc="likeliest class of the event",
                    column="event_class",
                    hdf5="event_class",
                    make=_likeliest,
                    categories="event",
                ),
                Part(
                    name="event_probabilities",
                    dtype="float32",
                    doc="probability of {}",
                    column="p_event_{}",
                    hdf5="probability",
                    make=softmax,
                    along="event",
                ),
            ),
        ),
        Head(
            name="vertex",
            output="v_evt",
            per_hit=False,
            dtype="float32",
            doc="position x, y, z of the neutrino vertex",
            along="xyz",
            unit="cm",
            parts=(
                Part(
                    name="vertex",
                    dtype="float32",
                    doc="{} of the vertex",
                    column="vertex_{}",
                    hdf5="vertex",
                    along="xyz",
                    unit="cm",
                ),
            ),
        ),
    )
}
"""All heads by name, in the order of tables."""

NUGRAPH3_HEADS: Final = ("semantic", "filter", "event", "vertex")
"""Heads of the NuGraph3 of 2024, the default."""
NUGRAPH2_HEADS: Final = ("semantic", "filter")


def output_tensors(
    heads: Iterable[str], planes: Sequence[str], sizes: Mapping[str, int]
) -> dict[str, Tensor]:
    """Return the schema of some heads' outputs, in their order, for a merged batch.

    Args:
        heads: names in `HEADS`.
        planes: of the detector.
        sizes: number of columns by ``along``; that of ``xyz`` is 3.
    """
    tensors: dict[str, Tensor] = {}
    for head in map(HEADS.__getitem__, heads):
        width = (3,) if head.along == "xyz" else (sizes[head.along],) if head.along else ()
        rows = [f"hits_{plane}" for plane in planes] if head.per_hit else [REQUESTS]
        for name, plane, row in zip(
            head.outputs(planes), planes if head.per_hit else ("",), rows, strict=True
        ):
            tensors[name] = Tensor(
                head.dtype,
                (row, *width),
                declared=width if head.no_batch else None,
                unit=head.unit,
                doc=head.doc.format(f"each hit on plane {plane}"),
            )
    return tensors


@dataclass(frozen=True, slots=True)
class Labels:
    """A model's heads, the names of its classes in the order of its scores, and its notice.

    Attributes:
        semantic, event: names of classes; those of a head that the model lacks mean nothing.
        notice: of the weights.
        heads: names in `HEADS`.
        coordinates: number of learned coordinates of a hit, if the model has them.
        title: name of the network.
        extra: the model takes the columns of a hit that not every file has.
    """

    semantic: tuple[str, ...]
    event: tuple[str, ...] = ()
    notice: str = ""
    heads: tuple[str, ...] = NUGRAPH3_HEADS
    coordinates: int = 0
    title: str = "NuGraph3"
    extra: bool = field(default=False, compare=False)

    @classmethod
    def from_metadata(
        cls,
        metadata: Mapping[str, str],
        heads: tuple[str, ...] = NUGRAPH3_HEADS,
        title: str = "NuGraph3",
    ) -> Labels:
        """Read the model's parameters.

        They are ``semantic_classes``, ``event_classes`` and ``heads``, each a JSON list or names
        separated by commas, ``instance_features`` (a number), ``graph_generation`` and ``notice``.

        A server that names no classes (any with the wire contract will do) gives empty tuples;
        results then have ``class 0``, ``class 1`` and so on.

        Args:
            metadata: the parameters.
            heads: of a model whose parameters name none.
            title: name of the network.
        """
        named = tuple(name for name in _names(metadata.get("heads", "")) if name in HEADS)
        return cls(
            semantic=_names(metadata.get("semantic_classes", "")),
            event=_names(metadata.get("event_classes", "")),
            notice=metadata.get("notice", ""),
            heads=in_order(named or heads),
            coordinates=int(metadata.get("instance_features", "0")),
            title=title,
            extra=metadata.get("graph_generation") == "2",
        )

    def parts(self, *, per_hit: bool) -> list[Part]:
        """Return the parts of hits or of the event, in the order of tables."""
        heads = map(HEADS.__getitem__, self.heads)
        return [part for head in heads if head.per_hit is per_hit for part in head.parts]

    def names(self, along: Along) -> tuple[str, ...]:
        """Return the names of the columns along an axis."""
        if along == "coordinates":
            return tuple(map(str, range(self.coordinates)))
        named = {"semantic": self.semantic, "event": self.event, "xyz": ("x", "y", "z")}
        return named.get(along, ())

    def sized(self, sizes: Mapping[str, int]) -> Labels:
        """Return the labels for numbers of scores, by ``along``; numbered if they have no names.

        Raises:
            PipelineError: the numbers of names and of scores differ.
        """
        return replace(
            self,
            semantic=_sized(self.semantic, sizes.get("semantic"), "semantic"),
            event=_sized(self.event, sizes.get("event"), "event"),
            coordinates=sizes.get("coordinates", self.coordinates),
        )


def in_order(heads: Iterable[str]) -> tuple[str, ...]:
    """Return heads in the order of tables."""
    return tuple(sorted(heads, key=list(HEADS).index))


def _names(text: str) -> tuple[str, ...]:
    if text.lstrip().startswith("["):
        return tuple(str(name) for name in json.loads(text))
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _sized(names: tuple[str, ...], size: int | None, kind: str) -> tuple[str, ...]:
    if size is None:
        return names
    if not names:
        return tuple(f"class {number}" for number in range(size))
    if len(names) != size:
        raise PipelineError(
            f"the model names {len(names)} {kind} classes ({', '.join(names)}), "
            f"but has scores for {size}"
        )
    return names
