"""Several files of results made one, with a word on where they are from.

Tables are copied block by block and never held whole; events are numbered on from part to part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from naiad.errors import NaiadError
from naiad.pipelines.nugraph3.result_files import (
    HDF5_SUFFIXES,
    check_format,
    import_h5py,
    import_pyarrow,
)

PROVENANCE: Final = "provenance"
"""The HDF5 attribute, and the key of the parquet metadata, with the provenance as JSON."""

_ROWS: Final = 65_536
# The column by which a table's rows are counted to events: it numbers them.
_SEQUENCE: Final = "event_id.seq_cnt"


def merge_results(parts: Sequence[Path], path: Path, provenance: Mapping[str, Any]) -> None:
    """Write the results of the ``parts``, at least one and all of one model, to ``path``.

    Raises:
        NaiadError: a part is of another model than the first, or is no file of results.
    """
    check_format(path)
    merge = _merge_hdf5 if path.suffix in HDF5_SUFFIXES else _merge_parquet
    merge(parts, path, json.dumps(provenance))


def read_provenance(path: Path) -> dict[str, Any] | None:
    """What :func:`merge_results` was told of where the results are from; None where it was not.

    Raises:
        NaiadError: the file is neither HDF5 nor parquet.
    """
    check_format(path)
    try:
        if path.suffix in HDF5_SUFFIXES:
            with import_h5py().File(path, "r") as file:
                text = file.attrs.get(PROVENANCE)
        else:
            _, parquet = import_pyarrow()
            text = (parquet.read_schema(path).metadata or {}).get(PROVENANCE.encode())
    except (OSError, ValueError) as error:
        raise NaiadError(f"{path} cannot be read: {error}") from error
    return None if text is None else json.loads(text)


def _merge_hdf5(parts: Sequence[Path], path: Path, provenance: str) -> None:
    h5py = import_h5py()
    about: dict[str, Any] = {}
    events = 0
    with h5py.File(path, "w") as merged:
        for part in parts:
            with h5py.File(part, "r") as file:
                found = {name: _plain(value) for name, value in file.attrs.items()}
                if not about:
                    about = found
                    merged.attrs.update(file.attrs)
                    merged.attrs[PROVENANCE] = provenance
                elif found != about:
                    raise NaiadError(f"{part} has results of another model: {found}, not {about}")
                for name, column in _columns(file):
                    _append_rows(merged, name, column, events if name.endswith(_SEQUENCE) else 0)
                events += len(file["event_table/event_id"])


def _columns(file: Any) -> Iterator[tuple[str, Any]]:
    for table, columns in file.items():
        for name, column in columns.items():
            yield f"{table}/{name}", column


def _append_rows(merged: Any, name: str, column: Any, events: int) -> None:
    if name not in merged:
        merged.create_dataset(
            name,
            shape=(0, *column.shape[1:]),
            dtype=column.dtype,
            maxshape=column.maxshape,
            chunks=column.chunks,
            compression=column.compression,
            compression_opts=column.compression_opts,
            shuffle=column.shuffle,
        )
    into = merged[name]
    end = len(into)
    into.resize(end + len(column), axis=0)
    for start in range(0, len(column), _ROWS):
        rows = column[start : start + _ROWS]
        if events:
            rows[:, 0] += events
        into[end + start : end + start + len(rows)] = rows


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _merge_parquet(parts: Sequence[Path], path: Path, provenance: str) -> None:
    pa, parquet = import_pyarrow()
    first = parquet.read_schema(parts[0])
    schema = first.with_metadata({**(first.metadata or {}), PROVENANCE: provenance})
    events = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as merged:
        for part in parts:
            with parquet.ParquetFile(part) as file:
                if not file.schema_arrow.equals(first, check_metadata=True):
                    raise NaiadError(f"{part} has results of another model than {parts[0]}")
                last = -1
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    place = table.schema.get_field_index("entry")
                    entries = table.column(place).to_numpy()
                    last = int(entries[-1])
                    numbered = pa.array(entries + events, pa.int64())
                    merged.write_table(table.set_column(place, schema.field(place), numbered))
                events += last + 1
