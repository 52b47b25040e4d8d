"""Merging of files of results into one with their provenance.

Tables are copied block by block and never held whole. Item numbers, which start from 0 in each
part, continue from part to part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from naiad.errors import NaiadError
from naiad.files import suffix_of
from naiad.hdf5 import Hdf5Draft

PROVENANCE: Final = "provenance"
"""The HDF5 attribute, and the key of the parquet metadata, with the provenance as JSON."""

_ROWS: Final = 65_536
_CHUNK_CACHE: Final = 1 << 20
"""Bytes for each column of an open HDF5 file."""


def merge_hdf5(
    parts: Sequence[Path],
    path: Path,
    provenance: Mapping[str, Any],
    *,
    counted: str,
    numbered: str,
) -> None:
    """Merge files of tables, groups of columns ``[rows, k]``, into one.

    Args:
        parts: at least one, all with the same attributes; some may lack a table.
        path: the file to write.
        provenance: written as an attribute.
        counted: the column with a row for each item, as ``events/id``.
        numbered: the name of columns whose first value is an item's number.

    Raises:
        NaiadError: a part has other attributes than the first: it is from another model.
    """
    import h5py

    about: dict[str, Any] = {}
    items = 0

    def append(merged: Any, part: Path) -> None:
        nonlocal about, items
        with h5py.File(part, "r", rdcc_nbytes=_CHUNK_CACHE) as file:
            found = {name: _plain(value) for name, value in file.attrs.items()}
            if not about:
                about = found
                merged.attrs.update(file.attrs)
                merged.attrs[PROVENANCE] = json.dumps(provenance)
            elif found != about:
                raise NaiadError(f"{part} has results of another model: {found}, not {about}")
            for name, column in _columns(file):
                is_number = name.rpartition("/")[2] == numbered
                _append_rows(merged, name, column, items if is_number else 0)
            rows: Any = file[counted]
            items += len(rows)

    with Hdf5Draft(path, rdcc_nbytes=_CHUNK_CACHE) as draft:
        for part in parts:
            draft.commit(partial(append, part=part))


def merge_parquet(
    parts: Sequence[Path], path: Path, provenance: Mapping[str, Any], *, numbered: str | None = None
) -> None:
    """Merge parquet files into one, row group by row group.

    Args:
        parts: at least one, all with the same schema.
        path: the file to write.
        provenance: written to the metadata.
        numbered: a column that counts items from 0.

    Raises:
        NaiadError: a part has another schema than the first: it is from another model.
    """
    import pyarrow as pa
    from pyarrow import parquet

    # pyarrow is given open files: it takes no path that is not UTF-8
    with parts[0].open("rb") as file:
        first = parquet.read_schema(file)
    schema = first.with_metadata({**(first.metadata or {}), PROVENANCE: json.dumps(provenance)})
    items = 0
    with path.open("wb") as into, parquet.ParquetWriter(into, schema, compression="zstd") as merged:
        for part in parts:
            with part.open("rb") as opened, parquet.ParquetFile(opened) as file:
                if not file.schema_arrow.equals(first, check_metadata=True):
                    raise NaiadError(f"{part} has results of another model than {parts[0]}")
                last = -1
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    if numbered is not None:
                        place = schema.get_field_index(numbered)
                        numbers = table.column(place).to_numpy()
                        last = int(numbers[-1])
                        counted_on = pa.array(numbers + items, pa.int64())
                        table = table.set_column(place, schema.field(place), counted_on)
                    merged.write_table(table)
                items += last + 1


def read_provenance(path: Path) -> dict[str, Any] | None:
    """Return the provenance in a file of results, or None.

    Raises:
        NaiadError: the file is neither HDF5, parquet nor ROOT.
    """
    try:
        if suffix_of(path) == ".parquet":
            from pyarrow import parquet

            with path.open("rb") as file:
                text = (parquet.read_schema(file).metadata or {}).get(PROVENANCE.encode())
        elif suffix_of(path) == ".root":
            import uproot

            opened: Any = uproot.open(path)
            with opened as file:
                text = str(file[PROVENANCE]) if PROVENANCE in file else None
        else:
            import h5py

            with h5py.File(path, "r") as file:
                text = file.attrs.get(PROVENANCE)
    except (OSError, ValueError) as error:
        raise NaiadError(f"{path} cannot be read: {error}") from error
    return None if text is None else json.loads(text)


def _columns(file: Any) -> Iterator[tuple[str, Any]]:
    for table, columns in file.items():
        for name, column in columns.items():
            yield f"{table}/{name}", column


def _append_rows(merged: Any, name: str, column: Any, items: int) -> None:
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
        merged[name].attrs.update(column.attrs)
    into = merged[name]
    end = len(into)
    into.resize(end + len(column), axis=0)
    for start in range(0, len(column), _ROWS):
        rows = column[start : start + _ROWS]
        if items:
            rows[:, 0] += items
        into[end + start : end + start + len(rows)] = rows


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
