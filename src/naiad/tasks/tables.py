"""Tables of results: CSV and Parquet, written unit by unit, with the columns of the task."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from naiad.errors import MissingExtra, NaiadError
from naiad.tasks.task import Column, Json, Task

PROVENANCE: Final = "provenance"
"""Key of the Parquet metadata that has the provenance as JSON."""
_ROWS: Final = 65_536  # held before a row group is written


class TableWriter:
    """A `Writer` of tables."""

    def __init__(
        self,
        task: Task[Any, Any],
        path: Path,
        columns: Sequence[Column],
        facts: Mapping[str, str],
    ) -> None:
        """Begin a file, whose suffix is .csv or .parquet; ``facts`` go into its metadata.

        Raises:
            MissingExtra: pyarrow is not installed.
            OSError: the file cannot be written.
        """
        self._task, self._columns = task, columns
        self._number = 0
        kind = _Parquet if path.suffix == ".parquet" else _Csv
        self._file = kind(path, columns, facts)

    def add(self, name: str, unit: Any, result: Any) -> None:
        """Add the rows of a result."""
        names = [column.name for column in self._columns if not column.fill]
        rows = self._task.rows(result)
        if isinstance(rows, Mapping):
            arrays = [np.asarray(rows[key]) for key in names]
            size = len(arrays[0]) if arrays else 0
        else:
            listed = list(rows)
            arrays = [[row[place] for row in listed] for place in range(len(names))]
            size = len(listed)
        given = iter(arrays)
        filled = {"unit": name, "number": self._number}
        self._file.add(
            [[filled[c.fill]] * size if c.fill else next(given) for c in self._columns], size
        )
        self._number += 1

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    @staticmethod
    def merge(task: Task[Any, Any], parts: Sequence[Path], path: Path, provenance: Json) -> None:
        """Write tables to one, which tells where they are from.

        Raises:
            NaiadError: a part is of another model than the first.
        """
        if path.suffix == ".csv":
            _merge_csv(parts, path)
            return
        from naiad.bulk.merging import merge_parquet

        filled = [column.name for column in task.columns if column.fill == "number"]
        merge_parquet(parts, path, provenance, numbered=filled[0] if filled else None)


class _Csv:
    def __init__(self, path: Path, columns: Sequence[Column], facts: Mapping[str, str]) -> None:
        self._file = path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow([column.name for column in columns])

    def add(self, block: Sequence[Any], size: int) -> None:
        for row in zip(*map(_values, block), strict=True):
            self._writer.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in row)

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, columns: Sequence[Column], facts: Mapping[str, str]) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ModuleNotFoundError:
            raise MissingExtra("parquet", "pyarrow") from None
        self._pa = pa
        fields = [
            pa.field(
                column.name,
                _arrow(pa, column.dtype),
                metadata={"doc": column.doc, "unit": column.unit} if column.unit else None,
            )
            for column in columns
        ]
        metadata = {"naiad": json.dumps(facts)}
        self._schema = pa.schema(fields, metadata=metadata)
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._held: list[list[Any]] = [[] for _ in columns]
        self._size = 0

    def add(self, block: Sequence[Any], size: int) -> None:
        for held, values in zip(self._held, block, strict=True):
            held.append(values)
        self._size += size
        if self._size >= _ROWS:
            self._flush()

    def close(self) -> None:
        try:
            self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        if not self._size:
            return
        arrays = [
            self._pa.chunked_array(
                [self._pa.array(_values(part)).cast(field.type) for part in parts], type=field.type
            )
            for field, parts in zip(self._schema, self._held, strict=True)
        ]
        self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema))
        self._held = [[] for _ in self._held]
        self._size = 0


def check_suffix(task: Task[Any, Any], suffix: str) -> str:
    """Return a suffix that results of a task can be written with.

    Raises:
        NaiadError: there is no such format; names those there are.
    """
    known = suffixes_of(task)
    if suffix not in known:
        raise NaiadError(f"results are written as {', '.join(known)}, not {suffix or 'a folder'}")
    return suffix


def suffixes_of(task: Task[Any, Any]) -> tuple[str, ...]:
    """Return the suffixes of the formats of a task's results."""
    return tuple(dict.fromkeys([*task.formats, ".csv", ".parquet"]))


def _arrow(pa: Any, dtype: str) -> Any:
    if dtype == "category":
        return pa.dictionary(pa.int8(), pa.string())
    return pa.string() if dtype == "str" else pa.from_numpy_dtype(np.dtype(dtype))


def _values(column: Any) -> Any:
    return column.tolist() if isinstance(column, np.ndarray) else column


def _merge_csv(parts: Sequence[Path], path: Path) -> None:
    header: list[str] | None = None
    with path.open("w", encoding="utf-8", newline="") as merged:
        for part in parts:
            with part.open(encoding="utf-8", newline="") as file:
                first, *lines = file.readlines()
            if header is None:
                header = [first]
                merged.write(first)
            elif header != [first]:
                raise NaiadError(f"{part} has results of another model: {first.strip()}")
            merged.writelines(lines)
