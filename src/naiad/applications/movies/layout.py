"""The files of an ArangoDB dump.

``NAME.structure.json`` describes a collection, and ``NAME.data.json`` has one document per line.
Dumps of JSON are read in all their layouts:

- ``NAME`` in either file may end in ``_`` and a hash;
- the data may be compressed (``.data.json.gz``) and in several files (``NAME.0.data.json``, ...);
- a line may be the document or an envelope, ``{"type": 2300, "data": {...}}``; an envelope of type
  2302 removes the document.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from naiad.errors import InvalidInput

STRUCTURES: Final = "*.structure.json"

_HASH = "(?:_[0-9a-f]{32})?"
_STRUCTURE = re.compile(rf"(?P<name>.+?){_HASH}\.structure\.json")
_DATA = re.compile(
    rf"(?P<name>.+?){_HASH}(?:\.(?P<part>\d+))?\.data\.(?P<form>json|vpack)(?:\.gz)?"
)
_EDGE_COLLECTION = 3  # ArangoDB's number for edge collections
_WRITTEN = (2300, 2301)  # ArangoDB's numbers for a document and, until 3.0, an edge
_REMOVED = 2302  # and for a removed one
_MOST_LINE_BYTES = 16 << 20
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of a dump.

    Attributes:
        name: its name in the database.
        edges: whether it has edges, with ``_from`` and ``_to``.
        structure: the file that describes it.
        files: its data, in order. ``arangodump`` may write none for an empty collection.
    """

    name: str
    edges: bool
    structure: Path
    files: tuple[Path, ...]

    @property
    def missing(self) -> str:
        """Say which file would have the data, for a collection without files."""
        match = _STRUCTURE.fullmatch(self.structure.name)
        stem = match["name"] if match else self.name
        return (
            f"{self.structure} has no data beside it: {stem}.data.json or {stem}_HASH.data.json, "
            f"or these with .gz; if the collection is empty, create an empty file {stem}.data.json"
        )

    def documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each document and its key, without those that a later line removes.

        Raises:
            InvalidInput: a file or a line is damaged; names both.
        """
        found: dict[str, dict[str, Any]] = {}
        for path in self.files:
            for number, line in _lines(path):
                key, document = _document(line, f"{path}, line {number}")
                found.pop(key, None)
                if document is not None:
                    found[key] = document
        yield from found.items()


def is_dump(folder: Path) -> bool:
    """Return whether a folder has files of a dump."""
    return any(
        any(folder.glob(pattern)) for pattern in (STRUCTURES, "*.data.json*", "*.data.vpack*")
    )


def collections_in(folder: Path) -> list[Collection]:
    """Return the collections of a dump, without ArangoDB's own.

    Raises:
        InvalidInput: the dump is encrypted, or a structure file is damaged or missing.
    """
    _check_encryption(folder)
    data = _data_files(folder)
    found: list[Collection] = []
    described: set[str] = set()
    for path in sorted(folder.glob(STRUCTURES)):
        match = _STRUCTURE.fullmatch(path.name)
        stem = match["name"] if match else path.name
        described.add(stem)
        parameters = _parameters(path)
        name = parameters["name"]
        if name.startswith("_") or parameters.get("isSystem") or parameters.get("deleted"):
            continue
        edges = parameters["type"] == _EDGE_COLLECTION
        found.append(Collection(name, edges, path, tuple(data.get(stem, ()))))
    for stem, files in data.items():
        if stem not in described and not stem.startswith("_"):
            raise InvalidInput(
                f"{files[0]} has no structure beside it: {stem}.structure.json or "
                f"{stem}_HASH.structure.json"
            )
    return found


def _check_encryption(folder: Path) -> None:
    path = folder / "ENCRYPTION"
    try:
        kind = path.read_text("utf-8", "replace").strip() if path.exists() else "none"
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from error
    if kind != "none":
        raise InvalidInput(
            f"{folder} is encrypted ({kind[:40]}), says its file ENCRYPTION; dump without "
            "--encryption.keyfile"
        )


def _data_files(folder: Path) -> dict[str, list[Path]]:
    """Return the data files by collection, in the order of their parts."""
    found: dict[str, list[tuple[int, str, Path]]] = defaultdict(list)
    for path in folder.glob("*.data.*"):
        if match := _DATA.fullmatch(path.name):
            if match["form"] == "vpack":
                raise InvalidInput(f"{path} is VelocyPack, not JSON; dump with --dump-vpack false")
            found[match["name"]].append((int(match["part"] or 0), path.name, path))
    return {name: [path for *_, path in sorted(files)] for name, files in sorted(found.items())}


def _parameters(path: Path) -> dict[str, Any]:
    try:
        parameters = json.loads(path.read_text("utf-8"))["parameters"]
        return {**parameters, "name": str(parameters["name"]), "type": parameters["type"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} does not describe a collection: {error!r}") from error


def _document(line: bytes, place: str) -> tuple[str, dict[str, Any] | None]:
    """Return the key of a line's document, and the document unless the line removes it."""
    if len(line) == _MOST_LINE_BYTES:
        raise InvalidInput(f"{place} has more than {_MOST_LINE_BYTES:,} bytes")
    try:
        # NaN and Infinity, which are not JSON, are taken as null.
        found = json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{place} is not a document: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{place} is not a document: {type(found).__name__}, not an object")
    if "_key" in found:
        return _key(found["_key"], place), found
    kind, data = found.get("type"), found.get("data")
    if kind not in (*_WRITTEN, _REMOVED):
        raise InvalidInput(
            f"{place} is not a document: it has no _key, and is no envelope "
            f'{{"type": {_WRITTEN[0]}, "data": {{"_key": ...}}}}'
        )
    inner = data if isinstance(data, dict) else {}
    # Before ArangoDB 3.0 the key was only in the envelope.
    key = _key(inner.get("_key", found.get("key")), place)
    if kind == _REMOVED:
        return key, None
    if not isinstance(data, dict):
        raise InvalidInput(f"{place} is not a document: its envelope has no data")
    return key, data


def _key(key: object, place: str) -> str:
    if not isinstance(key, str) or not key:
        raise InvalidInput(f"{place} is not a document: its _key is {key!r:.40}, not text")
    return key


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if compressed else path.open("rb") as file:
            number = 0
            while line := file.readline(_MOST_LINE_BYTES):
                number += 1
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from error
