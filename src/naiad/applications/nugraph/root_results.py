"""ROOT files of NuGraph results: a tree ``events`` with an entry per event.

Its branches are the columns of tables of results: values of the event are plain, those of hits are
jagged, with the counter ``nhits``. Classes and planes are numbers. Beside the tree, three strings
hold JSON: ``columns`` documents each branch with its unit and the names of its classes, ``about``
names the model's classes and the notice of its weights, and ``provenance`` is there in results of
``naiad process``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.heads import Labels
from naiad.applications.nugraph.result_blocks import BlockWriter
from naiad.applications.nugraph.result_columns import facts, table_columns
from naiad.applications.nugraph.result_tables import rows
from naiad.applications.nugraph.results import NuGraphResult
from naiad.applications.nugraph.root_trees import TREE, RootDraft, import_uproot
from naiad.bulk.merging import PROVENANCE
from naiad.errors import NaiadError
from naiad.tasks.task import Column

_EVENTS_PER_READ: Final = 512
_HITS: Final = "hits"


class RootWriter(BlockWriter[RootDraft]):
    """A `Writer` of ROOT files."""

    def __init__(self, task: object, path: Path, card: object) -> None:
        """Begin no file yet.

        Raises:
            MissingExtra: uproot is not installed.
        """
        import_uproot()
        super().__init__(path)

    def begin(self, labels: Labels) -> RootDraft:
        """Begin the file."""
        about = facts(labels)
        texts = {
            "columns": json.dumps([_facts(column) for column in _columns(labels)]),
            "about": json.dumps(about),
        }
        return RootDraft(self._path, texts, about["content"])

    def append(self, draft: RootDraft, block: Sequence[NuGraphResult], first: int) -> None:
        """Write results to the file."""
        draft.extend(*_branches(block, _columns(block[0].labels)))

    @staticmethod
    def merge(
        task: object, parts: Sequence[Path], path: Path, provenance: Mapping[str, Any]
    ) -> None:
        """Write the results of all parts to one file.

        Raises:
            NaiadError: a part is of another model than the first.
        """
        uproot, ak = import_uproot()
        draft: RootDraft | None = None
        first: dict[str, str] = {}
        try:
            for part in parts:
                with uproot.open(part) as file:
                    texts = {name: str(file[name]) for name in ("columns", "about")}
                    tree = file[TREE]
                    if draft is None:
                        first = texts
                        known = {**texts, PROVENANCE: json.dumps(provenance)}
                        draft = RootDraft(path, known, tree.title)
                    elif texts != first:
                        raise NaiadError(f"{part} has results of another model than {parts[0]}")
                    for block in tree.iterate(step_size=_EVENTS_PER_READ, library="ak"):
                        jagged = [name for name in block.fields if block[name].ndim > 1]
                        hits = {name: ak.to_numpy(ak.flatten(block[name])) for name in jagged}
                        values = {
                            name: ak.to_numpy(block[name])
                            for name in block.fields
                            if name not in jagged and name != f"n{_HITS}"
                        }
                        counts = ak.to_numpy(ak.num(block[jagged[0]]))
                        draft.extend(values, {_HITS: (hits, counts)})
        finally:
            if draft is not None:
                draft.close()


def _columns(labels: Labels) -> list[Column]:
    """Return the columns of a table that are branches."""
    return [column for column in table_columns(labels) if not column.fill]


def branch_of(column: str) -> str:
    """Return the name of a column's branch: letters, digits and underscores, as ROOT wants."""
    return re.sub(r"\W", "_", column, flags=re.ASCII)


def _facts(column: Column) -> dict[str, Any]:
    classes = {"classes": list(column.categories)} if column.categories else {}
    return {"branch": branch_of(column.name), **column.about, **classes}


def _branches(
    block: Sequence[NuGraphResult], columns: Sequence[Column]
) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[dict[str, NDArray[Any]], NDArray[Any]]]]:
    """Return the values of some events, and their hits with the number of each event's."""
    tables = [rows(result) for result in block]
    counts = np.array([result.num_hits for result in block])
    values: dict[str, NDArray[Any]] = {}
    hits: dict[str, NDArray[Any]] = {}
    for column in columns:
        dtype = np.dtype("int32" if column.categories else column.dtype)
        parts: list[Any] = [table[column.name] for table in tables]  # pyright: ignore
        if isinstance(parts[0], np.ndarray):
            # An event without hits has one row of missing values.
            some = [part for part, count in zip(parts, counts, strict=True) if count]
            whole = np.concatenate(some) if some else np.empty(0, dtype)
            hits[branch_of(column.name)] = np.asarray(whole, dtype)
        else:
            values[branch_of(column.name)] = np.asarray(parts, dtype)
    return values, {_HITS: (hits, counts)}
