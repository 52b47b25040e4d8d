"""Files that may be DICOM: in a folder, in a zip archive, those that a DICOMDIR lists, or one."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from naiad.errors import InvalidInput, MissingExtra

MOST_FILES: Final = 20_000
LARGEST_FILE: Final = (1 << 30) + (64 << 20)
"""Maximum size of a file, uncompressed: a volume of many frames, with its header."""

_INDEX: Final = "DICOMDIR"  # a list of files, by which CDs and DVDs are read
_ENCRYPTED: Final = 1  # bit of a zip archive's member


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A file in a folder or in a zip archive."""

    path: Path
    member: zipfile.ZipInfo | None = None

    def __str__(self) -> str:
        """Return its path, and its name in an archive."""
        return str(self.path) if self.member is None else f"{self.path}: {self.member.filename}"

    @property
    def name(self) -> str:
        """Its name in the archive, or in its folder."""
        return self.path.name if self.member is None else self.member.filename

    @property
    def size(self) -> int:
        """Bytes, uncompressed; 0 of a file that cannot be read."""
        if self.member is not None:
            return self.member.file_size
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    @contextmanager
    def open(self) -> Generator[IO[bytes]]:
        """Open the file.

        Raises:
            InvalidInput: it cannot be opened, or reading it fails in the ``with`` block, whatever
                the reason: damaged files make zipfile and pydicom raise nearly anything.
        """
        try:
            if self.member is None:
                with self.path.open("rb") as file:
                    yield file
                return
            if self.member.flag_bits & _ENCRYPTED:
                raise InvalidInput(
                    f"{self} is encrypted; unpack the archive with its password and give the folder"
                )
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                yield file
        except InvalidInput:
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, OSError) else described(error)
            raise InvalidInput(f"{self} cannot be read: {reason}") from error


def described(error: Exception) -> str:
    """Return the kind and the first line of an error that a library raised."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def files_at(path: Path) -> list[DicomFile]:
    """Return the files in a folder and its subfolders, or in a zip archive; or the file itself.

    Hidden files, such as macOS's ``._*``, and ``DICOMDIR`` are left out; a DICOMDIR that is given
    itself stands for the images that it lists.

    Raises:
        InvalidInput: there are too many, or the archive or DICOMDIR is damaged.
    """
    if path.is_dir():
        files = [DicomFile(file) for file in sorted(path.rglob("*")) if file.is_file()]
        files = [file for file in files if _may_be_image(file.path.name)]
    elif zipfile.is_zipfile(path) or path.suffix.lower() == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
        except Exception as error:  # zipfile raises nearly anything for a damaged directory
            raise InvalidInput(f"{path} is not a readable zip archive: {error}") from error
        names = [PurePosixPath(member.filename).name for member in members]
        files = [
            DicomFile(path, member)
            for member, name in zip(members, names, strict=True)
            if _may_be_image(name)
        ]
    elif path.name.upper() == _INDEX:
        files = [DicomFile(file) for file in _listed(path)]
    else:
        files = [DicomFile(path)]
    if len(files) > MOST_FILES:
        raise InvalidInput(f"{path} has {len(files):,} files; it may have {MOST_FILES:,}")
    return files


def _listed(path: Path) -> list[Path]:
    """Return the files that a DICOMDIR lists; those outside of its folder are left out."""
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtra("dicomweb", "pydicom") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names with small letters or dots
            records = pydicom.dcmread(path).DirectoryRecordSequence
            listed = [record.get("ReferencedFileID") or () for record in records]
    except Exception as error:  # pydicom raises nearly anything for a damaged file
        raise InvalidInput(f"{path} is not a readable DICOMDIR: {described(error)}") from error
    top = path.parent.resolve()
    files: set[Path] = set()
    for parts in filter(None, listed):
        file = path.parent.joinpath(*([parts] if isinstance(parts, str) else parts))
        if file.resolve().is_relative_to(top):
            files.add(file)
    return sorted(files)


def _may_be_image(name: str) -> bool:
    return not name.startswith(".") and name != _INDEX
