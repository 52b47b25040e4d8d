"""Users' data files: search, reading and atomic writing."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from naiad.errors import InvalidInput, NaiadError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def suffix_of(path: Path) -> str:
    """Return the suffix that tells a file's format, in lower case: ``.jpg`` of ``A.JPG``."""
    return path.suffix.lower()


def has_suffix(path: Path, suffixes: Collection[str]) -> bool:
    """Return whether a file's name ends in one of ``suffixes``, such as ``.nii.gz``."""
    return path.name.lower().endswith(tuple(suffixes))


def find_files(paths: Iterable[Path], suffixes: Collection[str], what: str) -> Iterator[Path]:
    """Yield given files, and those in and below folders that end in ``suffixes``, sorted.

    Raises:
        InvalidInput: a folder has no such file; ``what`` is their name in the message.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = [p for p in files_below(path) if has_suffix(p, suffixes)]
        if not found:
            raise InvalidInput(f"{path} has no {what} ({', '.join(sorted(suffixes))})")
        yield from found


def files_below(folder: Path) -> list[Path]:
    """Return the files in and below a folder that people put there, sorted."""
    return sorted(p for p in folder.rglob("*") if not is_sidecar(p.name) and p.is_file())


def is_sidecar(name: str) -> bool:
    """Return whether a path is macOS's file ``._NAME``, with properties of the file NAME.

    macOS writes them beside each file on other systems' disks, and into archives.
    """
    return name.rpartition("/")[2].startswith("._")


def read_file(path: Path, most: int) -> bytes:
    """Return the bytes of a file.

    Raises:
        InvalidInput: it cannot be read, or has over ``most`` bytes.
    """
    try:
        size = path.stat().st_size
        if size > most:
            raise InvalidInput(f"{path} has {size:,} bytes; the server takes {most:,}")
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error


def read_npz(path: Path, most: int | None = None) -> dict[str, NDArray[Any]]:
    """Return the arrays in a .npz file; text becomes bytes.

    Raises:
        InvalidInput: it cannot be read, or has over ``most`` bytes.
    """
    import numpy as np  # not for the commands that only find files

    def plain(array: NDArray[Any]) -> NDArray[Any]:
        array = np.char.encode(array) if array.dtype.kind == "U" else array
        return array.astype(object) if array.dtype.kind == "S" else array

    source = path if most is None else BytesIO(read_file(path, most))
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file")
    if not zipfile.is_zipfile(source):
        raise InvalidInput(f"{path} is not a .npz file of plain arrays, as numpy.savez makes")
    try:
        with np.load(source, allow_pickle=False) as file:
            found = dict(file.items())
    # zipfile raises RuntimeError for a password, and NotImplementedError for a compression
    except (OSError, ValueError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path} is not a .npz file of plain arrays: {error}") from None
    for name, array in found.items():
        if not isinstance(array, np.ndarray):  # NumPy returns the bytes of any other file
            raise InvalidInput(f"{path} is not a .npz file of plain arrays: {name} is not an array")
    return {name: plain(array) for name, array in found.items()}


def partial_path(path: Path) -> Path:
    """Return the path beside ``path`` that a file has until it is whole."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """Yield a path to write to, which becomes ``path`` at the end, or is removed on an error.

    Raises:
        NaiadError: the file cannot be written.
    """
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise NaiadError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            partial.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        NaiadError: the file cannot be written.
    """
    with whole_file(path) as partial:
        partial.write_bytes(content)


@contextmanager
def open_private(path: Path, flags: int) -> Generator[IO[bytes]]:
    """Open a file of secrets, without a buffer, by the flags of `os.open`; a new one is mode 0600.

    Raises:
        InvalidInput: others may read it, or it cannot be opened.
        FileExistsError: with ``O_EXCL``, it is there.
    """
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        raise InvalidInput(f"{path} cannot be opened: {error.strerror}") from None
    mode = {os.O_RDONLY: "rb", os.O_WRONLY: "wb", os.O_RDWR: "r+b"}[flags & os.O_ACCMODE]
    with os.fdopen(descriptor, mode, buffering=0) as file:
        others = os.fstat(descriptor).st_mode & 0o077
        if others:
            raise InvalidInput(f"{path} may be read by others; run: chmod 600 {path}")
        yield file
