"""NuGraph3 results as one flat table, in a parquet file; streamed.

One row per hit; what belongs to the event is repeated in each of its rows, which
compression makes free. ``entry`` numbers the events. An event without hits is one row whose hit
columns are null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.results import HIT_DTYPES, Labels, NuGraph3Result, hit_columns
from naiad.applications.nugraph.schema import PLANES
from naiad.errors import MissingExtra, NaiadError


class ParquetStore:
    """A parquet file that is being written."""

    def __init__(self, path: Path, labels: Labels) -> None:
        """Begin the file."""
        pa, parquet = import_pyarrow()
        name = pa.dictionary(pa.int8(), pa.string())
        number, score = pa.int32(), pa.float32()
        self._schema = pa.schema(
            [
                ("entry", pa.int64()),
                *((column, number) for column in ("run", "subrun", "event")),
                ("hit_id", number),
                ("plane", name),
                ("wire", number),
                *((column, score) for column in ("time", "integral", "rms")),
                ("semantic", name),
                *((f"p_{label}", score) for label in labels.semantic),
                ("filter", score),
                ("signal", pa.bool_()),
                ("event_class", name),
                *((f"p_event_{label}", score) for label in labels.event),
                *((f"vertex_{axis}", score) for axis in "xyz"),
                ("unknown_hits", number),
            ],
            metadata={
                "naiad": json.dumps(
                    {
                        "content": "NuGraph3 results",
                        "semantic_classes": labels.semantic,
                        "event_classes": labels.event,
                        "notice": labels.notice,
                    }
                )
            },
        )
        self._labels = labels
        self._pa = pa
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")

    def add(self, block: list[NuGraph3Result], first: int) -> None:
        """Write the events of ``block``, the first of which is number ``first`` of the file."""
        pa, labels = self._pa, self._labels
        # An event without hits keeps one row, with nulls for the hit.
        rows = np.array([max(1, len(r.probabilities)) for r in block])
        null = np.repeat([len(r.probabilities) == 0 for r in block], rows)
        place = np.flatnonzero(~null)

        def of_event(values: list[Any], kind: Any) -> Any:
            return pa.array(np.repeat(np.array(values), rows), kind)

        def of_hits(parts: list[NDArray[Any]], kind: Any) -> Any:
            filled = np.zeros(len(null), kind.to_pandas_dtype())
            filled[place] = np.concatenate(parts)
            return pa.array(filled, kind, mask=null)

        def named(codes: Any, names: tuple[str, ...]) -> Any:
            return pa.DictionaryArray.from_arrays(codes, list(names))

        columns: dict[str, Any] = {
            "entry": of_event(list(range(first, first + len(block))), pa.int64()),
            "signal": of_hits([r.is_signal for r in block], pa.bool_()),
            "event_class": named(
                of_event([labels.event.index(r.event_class) for r in block], pa.int8()),
                labels.event,
            ),
        }
        for name in ("run", "subrun", "event", "unknown_hits"):
            columns[name] = of_event([getattr(r, name) for r in block], pa.int32())
        for number, label in enumerate(labels.event):
            scores = [list(r.event_probabilities.values())[number] for r in block]
            columns[f"p_event_{label}"] = of_event(scores, pa.float32())
        for number, axis in enumerate("xyz"):
            columns[f"vertex_{axis}"] = of_event(
                [float(r.vertex[number]) for r in block], pa.float32()
            )
        for name, names in (("plane", PLANES), ("semantic", labels.semantic)):
            codes = of_hits([r.columns[name] for r in block], pa.int8())
            columns[name] = named(codes, names)
        for name in ("hit_id", "wire", "time", "integral", "rms", "filter"):
            parts = [r.columns[name] for r in block]
            columns[name] = of_hits(parts, self._schema.field(name).type)
        for number, label in enumerate(labels.semantic):
            parts = [r.probabilities[:, number] for r in block]
            columns[f"p_{label}"] = of_hits(parts, pa.float32())
        self._writer.write_table(
            pa.table([columns[name] for name in self._schema.names], schema=self._schema)
        )

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def read_parquet(path: Path) -> Iterator[NuGraph3Result]:
    """Read the events one at a time.

    Raises:
        NaiadError: not a parquet file of NuGraph3 results.
    """
    pa, parquet = import_pyarrow()
    try:
        file = parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise NaiadError(f"{path} is no parquet file: {error}") from None
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
    """The package, and its part for parquet.

    Raises:
        NaiadError: it is missing, or does not work here.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise MissingExtra("nugraph3-client", "pyarrow") from None
    except ImportError as error:  # pyarrow 26 does not work with numpy 1
        raise NaiadError(f"parquet files cannot be used here: {error}") from None
    return pyarrow, pyarrow.parquet
