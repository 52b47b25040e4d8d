"""Folders of images for ``naiad process image``: one table for each.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from naiad.applications.image.files import as_request, find_images, read_image
from naiad.bulk.merging import merge_parquet
from naiad.core.pipeline import Request
from naiad.core.schema import Arrays
from naiad.errors import InvalidInput, MissingExtra

_ROWS: Final = 65_536  # of a row group


@dataclass(frozen=True)
class ImageBulk:
    """Folders in, parquet tables out, with a row per image and class: file, rank, label, class and
    score.
    """

    unit: ClassVar[str] = "images"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)
    example: ClassVar[str] = "photos/"

    top: int = field(default=5, metadata={"help": "How many of the best classes.", "min": 1})

    def find(self, path: Path) -> Iterator[Path]:
        """Give the folder: its images, and those below, become one table.

        Raises:
            InvalidInput: it is no folder.
        """
        if not path.is_dir():
            raise InvalidInput(f"{path} is no folder; images are processed by the folder")
        yield path

    def fingerprint(self, path: Path) -> str:
        """A sum over names and sizes of the images."""
        digest = hashlib.sha256()
        for image in _images(path):
            digest.update(f"{image.relative_to(path)} {image.stat().st_size}\n".encode())
        return digest.hexdigest()

    def open(self, path: Path) -> _Images:
        """List the images."""
        return _Images(path, _images(path))

    def request(self, item: Path, metadata: Mapping[str, str]) -> Request:
        """The file's content, as the typed client sends it.

        Raises:
            InvalidInput: it cannot be read, or is larger than the model takes.
        """
        return Request(as_request([read_image(item)], self.top))

    def writer(self, path: Path, metadata: Mapping[str, str]) -> _Writer:
        """Begin a table."""
        return _Writer(path, metadata.get("notice", ""))

    def merge(self, parts: Sequence[Path], path: Path, provenance: Mapping[str, Any]) -> None:
        """Write the rows of all parts to one table."""
        merge_parquet(parts, path, provenance)


def _images(folder: Path) -> list[Path]:
    return list(find_images([folder]))


class _Images:
    def __init__(self, folder: Path, images: Sequence[Path]) -> None:
        self._folder, self._images = folder, images

    def __len__(self) -> int:
        return len(self._images)

    def read(self, numbers: range) -> Iterator[tuple[str, Path]]:
        for number in numbers:
            image = self._images[number]
            yield str(image.relative_to(self._folder)), image

    def close(self) -> None:
        pass


class _Writer:
    def __init__(self, path: Path, notice: str) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ModuleNotFoundError:
            raise MissingExtra("image", "pyarrow") from None
        columns = [("file", pa.string()), ("rank", pa.int32()), ("label", pa.string())]
        columns += [("class", pa.int32()), ("score", pa.float32())]
        self._schema = pa.schema(columns, metadata={"notice": notice})
        self._pa, self._parquet, self._path = pa, parquet, path
        self._rows: list[dict[str, Any]] = []
        self._open: Any = None

    def add(self, name: str, item: Path, outputs: Arrays) -> None:
        labels, classes, scores = (outputs[name][0] for name in ("labels", "classes", "scores"))
        ranked = zip(labels.tolist(), classes.tolist(), scores.tolist(), strict=True)
        for rank, (label, number, score) in enumerate(ranked, start=1):
            self._rows.append(
                {
                    "file": str(item),
                    "rank": rank,
                    "label": label.decode(),
                    "class": number,
                    "score": score,
                }
            )
        if len(self._rows) >= _ROWS:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        if self._open is not None:
            self._open.close()
            self._open = None

    def _flush(self) -> None:
        if self._open is None:
            self._open = self._parquet.ParquetWriter(self._path, self._schema, compression="zstd")
        self._open.write_table(self._pa.Table.from_pylist(self._rows, self._schema))
        self._rows.clear()
