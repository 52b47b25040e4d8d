"""Films in an ArangoDB dump, as written by ``arangodump``.

``NAME.structure.json`` describes a collection; ``NAME.data.json`` or ``NAME.data.json.gz`` has one
document per line, with or without an envelope. ``NAME`` may end in a hash, and the data may be in
several files. Collections are recognised by name, see ``_NODES`` and ``_EDGES``.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from naiad.applications.movies.collecting import Collector
from naiad.applications.movies.graph import MovieTables, movie_schema, year_of
from naiad.applications.movies.parquet import RENAMED
from naiad.errors import InvalidInput

STRUCTURES: Final = "*.structure.json"

_EDGE_COLLECTION = 3  # ArangoDB's number for edge collections
_DELETED = 2302  # ArangoDB's number for a removed document
_MOST_LINE_BYTES = 16 << 20

_NODES: Final = {
    **dict.fromkeys(("movie", "movies"), "Movie"),
    **dict.fromkeys(("person", "persons", "people"), "Person"),
    **dict.fromkeys(("genre", "genres"), "Genre"),
    **dict.fromkeys(("company", "companies", "productioncompany"), "Company"),
    **dict.fromkeys(("country", "countries", "productioncountry"), "Country"),
    **dict.fromkeys(("language", "languages", "spokenlanguage"), "Language"),
    **dict.fromkeys(("user", "users"), "User"),
}
_EDGES: Final = {
    **{edge.name.lower(): edge.name for edge in movie_schema().edges},
    **dict.fromkeys(("rating", "ratings", "rates", "hasrated"), "rated"),
}
_LABELS = ("$label", "label", "type")  # attributes that may name an edge's type


def read_dump(folder: Path) -> MovieTables:
    """Read the graph in a dump.

    Raises:
        InvalidInput: a file is damaged, or no collection has films.
    """
    collector = Collector()
    tables: dict[str, str] = {}  # by collection
    edges: list[tuple[str, Path]] = []
    for path in sorted(folder.glob(STRUCTURES)):
        name, is_edges = _structure(path)
        if is_edges:
            edges.append((name, path))
        elif table := _NODES.get(name.lower()):
            tables[name] = table
            for document in _documents(path):
                _add_node(collector, table, document)
        else:
            collector.complain(f"collection {name} left out: not part of a film graph")
    for name, path in edges:
        for document in _documents(path):
            _add_edge(collector, name, document, tables)
    return collector.tables(str(folder))


def _structure(path: Path) -> tuple[str, bool]:
    """Return the name of a collection, and whether it has edges."""
    try:
        parameters = json.loads(path.read_text("utf-8"))["parameters"]
        return str(parameters["name"]), parameters["type"] == _EDGE_COLLECTION
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} does not describe a collection: {error!r}") from error


def _documents(structure: Path) -> Iterator[dict[str, Any]]:
    """Yield the documents of a collection, without those removed later."""
    stem = structure.name.removesuffix(".structure.json")
    files = sorted(
        path for path in structure.parent.glob("*.data.json*") if path.name.startswith(f"{stem}.")
    )
    if not files:
        raise InvalidInput(f"{structure} has no {stem}.data.json or .json.gz beside it")
    found: dict[str, dict[str, Any]] = {}
    for path in files:
        for number, line in _lines(path):
            document, deleted = _document(line, f"{path}, line {number}")
            if deleted:
                found.pop(document["_key"], None)
            else:
                found[document["_key"]] = document
    yield from found.values()


def _document(line: bytes, place: str) -> tuple[dict[str, Any], bool]:
    """Return the document of a line, and whether the line removes it."""
    try:
        document = json.loads(line)
        if "_key" in document:
            return document, False
        return {"_key": document["data"]["_key"], **document["data"]}, document["type"] == _DELETED
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{place} is not a document: {error!r}") from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            number = 0
            while line := file.readline(_MOST_LINE_BYTES):
                number += 1
                if line.strip():
                    yield number, line
    except (OSError, EOFError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from error


def _add_node(collector: Collector, table: str, document: Mapping[str, Any]) -> None:
    key = document["_key"]
    if table != "Movie":
        collector.node(table, key, name=document.get("name") or document.get("title"))
        return
    properties: dict[str, Any] = {}
    for name, kind in movie_schema().node("Movie").properties.items():
        value = document.get(RENAMED.get(name, name), document.get(name))
        if kind == "double":
            value = float(value) if isinstance(value, int | float) else None
        elif kind == "strings":
            value = [str(each) for each in value] if isinstance(value, list) else None
        elif kind == "string":
            value = None if value is None else str(value)
        properties[name] = value
    if not isinstance(properties["year"], int):
        properties["year"] = year_of(properties["released"])
    collector.node(table, key, **properties)


def _add_edge(
    collector: Collector, name: str, document: Mapping[str, Any], tables: Mapping[str, str]
) -> None:
    labels = [name, *(str(document.get(label, "")) for label in _LABELS)]
    edge = next((_EDGES[label.lower()] for label in labels if label.lower() in _EDGES), None)
    ends = [str(document.get(end, "")).partition("/") for end in ("_from", "_to")]
    if edge is None or not all(collection in tables for collection, _, _ in ends):
        collector.complain(f"edge of {name} left out: not part of a film graph")
        return
    schema = movie_schema().edge(edge)
    if [tables[collection] for collection, _, _ in ends] != [schema.source, schema.target]:
        collector.complain(
            f"edge {edge} left out: it does not lead from {schema.source} to {schema.target}"
        )
        return
    (_, _, source), (_, _, target) = ends
    properties: dict[str, Any] = {}
    if edge == "rated":
        rating = document.get("rating", document.get("userRating"))
        if not isinstance(rating, int | float):
            collector.complain(f"edge of {name} left out: it has no rating")
            return
        stamp = document.get("timestamp")
        stamp = stamp if isinstance(stamp, int) else None
        properties = {"rating": float(rating), "timestamp": stamp}
    collector.edge(edge, source, target, **properties)
