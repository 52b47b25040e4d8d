"""Results of NuGraph networks as one flat table.

One row per hit; the event's own values are repeated in each of its rows, which compression makes
free. ``entry`` numbers the events. An event without hits is one row whose hit columns are null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.nugraph.heads import Part
from naiad.applications.nugraph.result_columns import labels_of, named_columns
from naiad.applications.nugraph.results import HIT_DTYPES, NuGraphResult, hit_columns
from naiad.errors import MissingExtra, NaiadError
from naiad.tasks.task import Rows


def rows(result: NuGraphResult) -> Rows:
    """Return the columns of one event; an event without hits has one row with null hit columns."""
    labels = result.labels
    hits: dict[str, Any] = {name: result.columns[name] for name in HIT_DTYPES}
    event: dict[str, Any] = {}
    for columns, per_hit in ((hits, True), (event, False)):
        for part in labels.parts(per_hit=per_hit):
            columns.update(named_columns(part, result.part(part), labels))
    if not result.num_hits:
        hits = {name: np.ma.masked_all(1, values.dtype) for name, values in hits.items()}
    return {
        **{name: getattr(result, name) for name in ("run", "subrun", "event", "unknown_hits")},
        **hits,
        **{name: value.item() for name, value in event.items()},
    }


def read_parquet(path: Path) -> Iterator[NuGraphResult]:
    """Read the events one at a time.

    Raises:
        NaiadError: ``path`` is not a Parquet file of results.
    """
    pa, parquet = import_pyarrow()
    with ExitStack() as stack:
        # An open file, as pyarrow takes no path that is not UTF-8.
        opened = stack.enter_context(path.open("rb"))
        try:
            file = stack.enter_context(parquet.ParquetFile(opened))
        except pa.ArrowInvalid as error:
            raise NaiadError(f"{path} is not a Parquet file: {error}") from None
        metadata = file.schema_arrow.metadata or {}
        if b"naiad" not in metadata:
            raise NaiadError(f"{path} has no NuGraph results")
        there = file.schema_arrow.names

        def width(part: Part) -> int:
            pattern = re.compile(re.escape(part.column).replace(r"\{\}", ".+"))
            return sum(pattern.fullmatch(name) is not None for name in there)

        labels = labels_of(json.loads(metadata[b"naiad"]), width)

        def values(frame: Any, *, per_hit: bool) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for part in labels.parts(per_hit=per_hit):
                if part.along:
                    names = [part.column.format(name) for name in labels.names(part.along)]
                    found[part.name] = frame[names].to_numpy(part.dtype)
                elif not part.source:
                    column = frame[part.column]
                    column = column.cat.codes if part.categories else column
                    found[part.name] = column.to_numpy(part.dtype)
            return found

        for group in range(file.num_row_groups):
            # A writer ends a row group only between events.
            frame = file.read_row_group(group).to_pandas()
            for _, rows in frame.groupby("entry"):
                event = rows.iloc[:1]
                hits = rows[rows["hit_id"].notna()]
                yield NuGraphResult(
                    run=int(event["run"].item()),
                    subrun=int(event["subrun"].item()),
                    event=int(event["event"].item()),
                    columns=hit_columns(
                        {
                            name: hits[name].cat.codes if name == "plane" else hits[name]
                            for name in HIT_DTYPES
                        }
                    ),
                    values={
                        **values(hits, per_hit=True),
                        **{name: array[0] for name, array in values(event, per_hit=False).items()},
                    },
                    labels=labels,
                    unknown_hits=int(event["unknown_hits"].item()),
                )


def import_pyarrow() -> Any:
    """Import pyarrow; return it and its Parquet module.

    Raises:
        NaiadError: pyarrow is missing or cannot be imported.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise MissingExtra("nugraph3-client", "pyarrow") from None
    except ImportError as error:  # pyarrow 26 does not work with numpy 1
        raise NaiadError(f"Parquet files need pyarrow, which cannot be imported: {error}") from None
    return pyarrow, pyarrow.parquet
