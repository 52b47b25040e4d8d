"""NuGraph3 results as one flat table.

One row per hit; the event's own values are repeated in each of its rows, which compression makes
free. ``entry`` numbers the events. An event without hits is one row whose hit columns are null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.nugraph.results import HIT_DTYPES, Labels, NuGraph3Result, hit_columns
from naiad.errors import MissingExtra, NaiadError
from naiad.tasks.task import Rows


def rows(result: NuGraph3Result) -> Rows:
    """Return the columns of one event; an event without hits has one row with null hit columns."""
    columns, labels = result.columns, result.labels
    hits: dict[str, Any] = {
        **{name: columns[name] for name in HIT_DTYPES},
        **{f"p_{name}": p for name, p in zip(labels.semantic, result.probabilities.T, strict=True)},
        "signal": result.is_signal,
    }
    if not len(result.probabilities):
        hits = {name: np.ma.masked_all(1, values.dtype) for name, values in hits.items()}
    return {
        **{name: getattr(result, name) for name in ("run", "subrun", "event", "unknown_hits")},
        **hits,
        "event_class": labels.event.index(result.event_class),
        **{f"p_event_{name}": p for name, p in result.event_probabilities.items()},
        **{f"vertex_{axis}": x for axis, x in zip("xyz", result.vertex.tolist(), strict=True)},
    }


def read_parquet(path: Path) -> Iterator[NuGraph3Result]:
    """Read the events one at a time.

    Raises:
        NaiadError: ``path`` is not a Parquet file of NuGraph3 results.
    """
    pa, parquet = import_pyarrow()
    try:
        file = parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise NaiadError(f"{path} is not a Parquet file: {error}") from None
    with file:
        metadata = file.schema_arrow.metadata or {}
        if b"naiad" not in metadata:
            raise NaiadError(f"{path} has no NuGraph3 results")
        about = json.loads(metadata[b"naiad"])
        labels = Labels(
            tuple(about["semantic_classes"]), tuple(about["event_classes"]), about["notice"]
        )
        for group in range(file.num_row_groups):
            # A writer ends a row group only between events.
            frame = file.read_row_group(group).to_pandas()
            for _, rows in frame.groupby("entry"):
                event = rows.iloc[0]
                hits = rows[rows["hit_id"].notna()]
                columns = hit_columns(
                    {
                        name: hits[name].cat.codes if name in ("plane", "semantic") else hits[name]
                        for name in HIT_DTYPES
                    }
                )
                probabilities = hits[[f"p_{name}" for name in labels.semantic]]
                yield NuGraph3Result(
                    run=int(event["run"]),
                    subrun=int(event["subrun"]),
                    event=int(event["event"]),
                    event_probabilities={
                        name: float(event[f"p_event_{name}"]) for name in labels.event
                    },
                    vertex=np.array([event[f"vertex_{axis}"] for axis in "xyz"], np.float32),
                    columns=columns,
                    probabilities=probabilities.to_numpy(np.float32),
                    labels=labels,
                    unknown_hits=int(event["unknown_hits"]),
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
