"""Files of an answer to download: its table in several formats, and those that the task writes."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from naiad.files import suffix_of
from naiad.tasks.calls import Answer, TaskCall
from naiad.tasks.output import open_writer
from naiad.tasks.task import Column, Json

TABLES: Final = (".csv", ".parquet", ".npz")
"""Formats of tables, by suffix."""


class Folder:
    """A folder for files to download, deleted when nothing refers to it any more."""

    def __init__(self) -> None:
        """Make it; only this user can read it."""
        self.path = Path(tempfile.mkdtemp(prefix="naiad-answer-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def write_table(
    call: TaskCall, answers: Sequence[Answer], options: Any, rows: Sequence[Json], path: Path
) -> Path | None:
    """Write the table of some answers in the format of the path's suffix.

    Returns None if a package for the format is missing.
    """
    good = [answer for answer in answers if answer.error is None]
    task, suffix = call.task, suffix_of(path)
    if suffix == ".npz" and suffix not in task.formats:
        write_npz(path, _arrays(call.columns(options), rows))
        return path
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        return None
    if suffix in task.formats and len(good) != 1:
        return None
    writer = open_writer(task, path, call.card, options)
    try:
        for answer in good:
            writer.add(answer.name, answer.unit(), answer.result)
    finally:
        writer.close()
    return path


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as NumPy reads them, whatever their names: those of labels may be anything."""
    written = set[str]()
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            plain = re.sub(r"[^\w .,()-]", "_", name).lstrip(".") or "_"
            while plain in written:
                plain += "_"
            written.add(plain)
            with archive.open(f"{plain}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def write_files(
    call: TaskCall, answers: Sequence[Answer], options: Any, folder: Path
) -> list[Path]:
    """Write the files of answers, such as label maps, into a folder; return them."""
    written: list[Path] = []
    for number, answer in enumerate(answers):
        stem = Path(answer.name).name.partition(".")[0] or "answer"
        for suffix, content in call.files(answer, options):
            path = folder / f"{stem}{suffix}"
            if path.exists():
                path = folder / f"{stem}-{number}{suffix}"
            path.write_bytes(content)
            written.append(path)
    return written


def _arrays(columns: Sequence[Column], rows: Sequence[Json]) -> dict[str, Any]:
    """Return an array per column; where there is no value, NaN or an empty text."""
    arrays: dict[str, Any] = {}
    for column in columns:
        values = [row[column.name] for row in rows]
        if column.dtype in ("str", "category") or column.categories:
            arrays[column.name] = np.array(["" if v is None else str(v) for v in values], str)
            continue
        missing = any(value is None for value in values)
        dtype = "float64" if missing else column.dtype
        filled = [np.nan if value is None else value for value in values]
        with suppress(TypeError, ValueError):
            arrays[column.name] = np.array(filled, dtype)
    return arrays
