"""The columns of results in tables and files, for the heads and classes of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from numpy.typing import NDArray

from naiad.applications.nugraph.heads import HEADS, Labels, Part
from naiad.applications.nugraph.schema import PLANES
from naiad.tasks.task import Column, Json

_ENDING = " results"

PYNUML: Final = {"plane": "local_plane", "wire": "local_wire", "time": "local_time"}
"""pynuml's names of the columns of hits that come from the event, where they differ."""


def table_columns(labels: Labels) -> tuple[Column, ...]:
    """Return the columns of the table of results, which has a row per hit."""
    return (
        Column("entry", "int64", "number of the event in the table", fill="number"),
        Column("run", "int32", "run number"),
        Column("subrun", "int32", "subrun number"),
        Column("event", "int32", "event number"),
        Column("hit_id", "int32", "number of the hit in its event; null in an event without hits"),
        Column("plane", "category", "wire plane of the hit", categories=PLANES),
        Column("wire", "int32", "wire of the hit, counted in its plane"),
        Column("time", "float32", "drift time of the hit", "tick"),
        Column("integral", "float32", "charge of the hit", "ADC"),
        Column("rms", "float32", "width of the hit in time", "tick"),
        *_declared(labels, per_hit=True),
        *_declared(labels, per_hit=False),
        Column("unknown_hits", "int32", "spacepoint entries that name no hit of their plane"),
    )


def named_columns(
    part: Part, values: NDArray[Any], labels: Labels
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the columns of a part's array: name and values."""
    if not part.along:
        yield part.column, values
        return
    for number, name in enumerate(labels.names(part.along)):
        yield part.column.format(name), values[..., number]


def facts(labels: Labels) -> Json:
    """Return the title, classes and notice of a model, for the metadata of tables and files."""
    return {
        "content": f"{labels.title}{_ENDING}",
        **({"semantic_classes": list(labels.semantic)} if "semantic" in labels.heads else {}),
        **({"event_classes": list(labels.event)} if "event" in labels.heads else {}),
        "notice": labels.notice,
    }


def dataset_facts(labels: Labels) -> dict[str, Json]:
    """Return the attributes of the datasets in HDF5 files, by path.

    They are ``doc``, ``unit`` if there is one, ``columns``, the names in tables of the dataset's
    columns, and ``classes`` if the numbers are indices of these.
    """
    columns = {column.name: column for column in table_columns(labels)}
    found: dict[str, Json] = {}
    for table in ("event_table", "hit_table"):
        found[f"{table}/event_id"] = {
            "doc": "run, subrun and event number",
            "columns": ["run", "subrun", "event"],
        }
        found[f"{table}/event_id.seq_cnt"] = {
            "doc": "row of an event in event_table, and its number of rows here, if there are any"
        }
    for name in ("hit_id", "plane", "wire", "time", "integral", "rms"):
        found[f"hit_table/{PYNUML.get(name, name)}"] = _facts(columns[name])
    found["event_table/unknown_hits"] = _facts(columns["unknown_hits"])
    for table, per_hit in (("hit_table", True), ("event_table", False)):
        for part in labels.parts(per_hit=per_hit):
            if not part.hdf5:
                continue
            names = labels.names(part.along) if part.along else ("",)
            own = [part.column.format(name) for name in names]
            about = _facts(columns[own[0]]) if own else {}
            found[f"{table}/{part.hdf5}"] = {
                **about,
                "doc": part.doc.format(", ".join(names)),
                "columns": own,
            }
    return found


def labels_of(facts: Mapping[str, Any], width: Callable[[Part], int]) -> Labels:
    """Return the labels of the model whose results are in a table or file.

    Args:
        facts: its metadata, from :func:`facts`.
        width: returns the number of columns there of a part; 0 for none.
    """
    heads = tuple(
        name
        for name, head in HEADS.items()
        if all(width(part) for part in head.parts if not part.source)
    )
    (coordinates,) = HEADS["coordinates"].parts
    return Labels(
        semantic=tuple(map(str, facts.get("semantic_classes", ()))),
        event=tuple(map(str, facts.get("event_classes", ()))),
        notice=str(facts["notice"]),
        heads=heads,
        coordinates=width(coordinates),
        title=str(facts["content"]).removesuffix(_ENDING),
    )


def _facts(column: Column) -> Json:
    classes = {"classes": list(column.categories)} if column.categories else {}
    return {**column.about, "columns": [column.name], **classes}


def _declared(labels: Labels, *, per_hit: bool) -> Iterator[Column]:
    for part in labels.parts(per_hit=per_hit):
        for name in labels.names(part.along) if part.along else ("",):
            yield Column(
                part.column.format(name),
                "category" if part.categories else part.dtype,
                part.doc.format(name),
                part.unit,
                categories=labels.names(part.categories),
            )
