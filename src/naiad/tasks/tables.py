"""Tables of results: CSV and Parquet, written unit by unit, with the columns of the task."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from naiad.errors import MissingExtra, NaiadError, PipelineError
from naiad.files import suffix_of
from naiad.printable import encodable
from naiad.tasks.task import Column, Json, Rows, Task

PROVENANCE: Final = "provenance"
"""Key of the provenance, as JSON, in the Parquet metadata."""
_ROWS: Final = 65_536  # held before they are written
# Most bytes at the end of a Parquet file: once, and per column of each row group.
_FOOTER: Final = 1 << 16
_FOOTER_PER_COLUMN: Final = 512


class TableWriter:
    """A `Writer` of tables, which buffers rows and writes them in blocks of whole units.

    When the disk is full, the file ends with the last complete block.
    """

    def __init__(
        self, task: Task[Any, Any], path: Path, columns: Sequence[Column], facts: Json
    ) -> None:
        """Begin a file, whose suffix is .csv or .parquet; ``facts`` go into its metadata.

        Raises:
            MissingExtra: pyarrow is not installed.
            OSError: the file cannot be written.
        """
        self._task, self._columns = task, columns
        self._number = self._held = self.written = 0
        self._blocks: list[list[Any]] = []
        self._sizes: list[int] = []
        self._file = (_Csv if suffix_of(path) == ".csv" else _Parquet)(path, columns, facts)

    def add(self, name: str, unit: Any, result: Any, *, files: Sequence[str] = ()) -> None:
        """Add the rows of a result, for which ``files`` were written."""
        rows = self._task.rows(result)
        block, size = block_of(self._columns, rows, name, self._number, files)
        self._blocks.append(block)
        self._sizes.append(size)
        self._number += 1
        self._held += size
        if self._held >= _ROWS:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        try:
            self._flush()
        finally:
            self._file.close()

    @staticmethod
    def merge(task: Task[Any, Any], parts: Sequence[Path], path: Path, provenance: Json) -> None:
        """Merge tables into one that records their provenance.

        Raises:
            NaiadError: a part is of another model than the first.
        """
        numbered = next((c.name for c in task.columns if c.fill == "number"), None)
        if suffix_of(path) == ".csv":
            _merge_csv(parts, path, numbered)
            return
        from naiad.bulk.merging import merge_parquet

        merge_parquet(parts, path, provenance, numbered=numbered)

    def _flush(self) -> None:
        blocks, sizes = self._blocks, self._sizes
        # Emptied first, so that rows are not written twice after an interrupt.
        self._blocks, self._sizes, self._held = [], [], 0
        if blocks:
            self._file.write(_joined(self._columns, blocks, sizes))
            self.written += len(blocks)


class _Csv:
    def __init__(self, path: Path, columns: Sequence[Column], facts: Json) -> None:
        self._columns = columns
        self._file = path.open("wb", buffering=0)
        try:
            self._append([[column.name for column in columns]])
        except OSError:
            self._file.close()
            raise

    def write(self, values: Sequence[Any]) -> None:
        self._append(
            [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row]
            for row in _rows(self._columns, values)
        )

    def close(self) -> None:
        self._file.close()

    def _append(self, rows: Any) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        left = memoryview(text.getvalue().encode("utf-8", "backslashreplace"))
        start = self._file.tell()
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(start)
            raise


class _Parquet:
    def __init__(self, path: Path, columns: Sequence[Column], facts: Json) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ModuleNotFoundError:
            raise MissingExtra("parquet", "pyarrow") from None
        self._pa, self._columns = pa, columns
        self._schema = pa.schema(
            [
                pa.field(column.name, _arrow(pa, column.dtype), metadata=column.about)
                for column in columns
            ],
            metadata={"naiad": json.dumps(facts)},
        )
        self._groups, self._finished = 0, False
        self._file = path.open("wb")
        try:
            self._reserve(0)
        except OSError:
            self._file.close()
            raise
        self._writer = parquet.ParquetWriter(self._file, self._schema, compression="zstd")

    def write(self, values: Sequence[Any]) -> None:
        arrays = [
            self._array(column, field.type, value)
            for column, field, value in zip(self._columns, self._schema, values, strict=True)
        ]
        table = self._pa.Table.from_arrays(arrays, schema=self._schema)
        self._groups += 1
        # A dictionary that does not pay is written in addition to the values.
        self._reserve(2 * table.nbytes)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._finished:
            return
        try:
            self._writer.close()
            self._file.truncate(self._file.tell())
            self._finished = True
        finally:
            self._file.close()

    def _reserve(self, size: int) -> None:
        """Reserve room for a row group and the footer, without which nothing can be read."""
        footer = _FOOTER + _FOOTER_PER_COLUMN * len(self._columns) * self._groups
        try:
            os.posix_fallocate(self._file.fileno(), self._file.tell(), size + footer)
        except AttributeError:
            return  # on macOS and Windows a full disk may leave a file that cannot be read
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise

    def _array(self, column: Column, kind: Any, values: Any) -> Any:
        pa = self._pa
        if isinstance(values, list):
            return _text(pa, values).cast(kind)
        mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
        numbers = pa.array(
            np.ma.getdata(values), pa.int8() if column.categories else kind, mask=mask
        )
        if not column.categories:
            return numbers
        return pa.DictionaryArray.from_arrays(numbers, pa.array(column.categories))


def block_of(
    columns: Sequence[Column], rows: Rows, name: str, number: int, files: Sequence[str] = ()
) -> tuple[list[Any], int]:
    """Return the columns of one result, and its number of rows.

    Args:
        columns: of the table.
        rows: from :meth:`Task.rows`.
        name: of the unit.
        number: index of the unit.
        files: paths of the files written for it.

    Returns:
        By column an array, a list, or one value for all rows; and the number of rows.

    Raises:
        PipelineError: ``rows`` lacks a column.
    """
    filled = {"unit": name, "number": number, "files": "; ".join(files)}
    if not isinstance(rows, Mapping):
        cells = list(zip(*rows, strict=True))
        given = iter(cells or [()] * len(columns))
        return (
            [filled[c.fill] if c.fill else list(next(given)) for c in columns],
            len(cells[0]) if cells else 0,
        )
    missing = [c.name for c in columns if not c.fill and c.name not in rows]
    if missing:
        raise PipelineError(
            f"the result has no {', '.join(missing)}; it has {', '.join(map(str, rows))}"
        )
    block = [filled[c.fill] if c.fill else rows[c.name] for c in columns]
    sizes = {len(values) for values in block if isinstance(values, np.ndarray | list)}
    if len(sizes) > 1:
        raise PipelineError(f"columns of a result have {', '.join(map(str, sorted(sizes)))} rows")
    return block, sizes.pop() if sizes else 1


def rows_of(columns: Sequence[Column], block: list[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a block from :func:`block_of`, with None for missing values."""
    return _rows(columns, _joined(columns, [block], [size]))


def check_suffix(task: Task[Any, Any], suffix: str) -> str:
    """Return ``suffix`` if the task's results can be written in that format.

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


def _joined(columns: Sequence[Column], blocks: Sequence[list[Any]], sizes: list[int]) -> list[Any]:
    """Return each column of the blocks as one array, or as a list of texts."""
    return [
        _join(column, parts, sizes)
        for column, parts in zip(columns, zip(*blocks, strict=True), strict=True)
    ]


def _join(column: Column, parts: Sequence[Any], sizes: list[int]) -> Any:
    spread = not isinstance(parts[0], np.ndarray | list)
    if column.dtype in ("str", "category") and not column.categories:
        if spread:
            return [text for text, size in zip(parts, sizes, strict=True) for _ in range(size)]
        return [text for part in parts for text in part]
    dtype = np.dtype(np.int8 if column.categories else column.dtype)
    if spread:
        return np.repeat(np.asarray(parts, dtype), sizes)
    parts = [_without_none(part) for part in parts]
    masked = any(isinstance(part, np.ma.MaskedArray) for part in parts)
    values: NDArray[Any] = np.concatenate([np.asarray(np.ma.getdata(p), dtype) for p in parts])
    if not masked:
        return values
    return np.ma.MaskedArray(values, np.concatenate([np.ma.getmaskarray(p) for p in parts]))


def _without_none(part: Any) -> Any:
    """Return numbers of which some are missing, given as None, as a masked array."""
    if not isinstance(part, list) or None not in part:
        return part
    numbers = cast("list[Any]", part)
    mask = [number is None for number in numbers]
    return np.ma.MaskedArray([0 if number is None else number for number in numbers], mask)


def _rows(columns: Sequence[Column], values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    cells: list[list[Any]] = []
    for column, value in zip(columns, values, strict=True):
        listed = value if isinstance(value, list) else value.tolist()
        if column.categories:
            listed = [None if code is None else column.categories[code] for code in listed]
        cells.append(listed)
    return zip(*cells, strict=True)


def _arrow(pa: Any, dtype: str) -> Any:
    if dtype == "category":
        return pa.dictionary(pa.int8(), pa.string())
    return pa.string() if dtype == "str" else pa.from_numpy_dtype(np.dtype(dtype))


def _text(pa: Any, values: list[Any]) -> Any:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # names of files that are not UTF-8
        return pa.array([encodable(str(text)) for text in values], pa.string())


def _merge_csv(parts: Sequence[Path], path: Path, numbered: str | None) -> None:
    header: list[str] | None = None
    units = 0
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as merged:
        rows = csv.writer(merged)
        for part in parts:
            with part.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                lines = csv.reader(file)
                first = next(lines)
                if header is None:
                    header = first
                    rows.writerow(first)
                elif header != first:
                    raise NaiadError(f"{part} has results of another model: {','.join(first)}")
                if numbered is None:
                    rows.writerows(lines)
                    continue
                place, last = header.index(numbered), -1
                for line in lines:
                    last = int(line[place])
                    line[place] = str(last + units)
                    rows.writerow(line)
                units += last + 1
