"""Refusal of HDF5 files from strangers that name other files, which the library would read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from naiad.errors import InvalidInput

_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_FIRST: Final = 512  # bytes; a user's own block may come first, of this size or 2, 4, 8, ... times


def refuse_references(path: Path) -> None:
    """Refuse an HDF5 file whose content is in part in others; do nothing for any other file.

    Those are external links, datasets in external files and virtual datasets: they would show a
    stranger what the reader of the file can read.

    Raises:
        InvalidInput: names the object that refers to another file.
    """
    if not path.is_file() or not _is_hdf5(path):
        return
    import h5py

    try:
        with h5py.File(path, "r") as file:
            seen: set[Any] = set()
            groups: list[Any] = [file]
            while groups:
                group = groups.pop()
                for name in group:
                    link = group.get(name, getlink=True)
                    if isinstance(link, h5py.SoftLink):
                        continue  # to an object of the file, found by another link
                    if not isinstance(link, h5py.HardLink):
                        raise InvalidInput(f"{path}: {group.name} links to another file ({name!r})")
                    found = group[name]
                    if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
                        raise InvalidInput(f"{path}: the data of {found.name} are in another file")
                    if isinstance(found, h5py.Group) and found.id not in seen:
                        seen.add(found.id)
                        groups.append(found)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise InvalidInput(f"{path} is not a readable HDF5 file: {error}") from None


def _is_hdf5(path: Path) -> bool:
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + len(_SIGNATURE) <= size:
            file.seek(at)
            if file.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
            at = 2 * at or _FIRST
    return False
