"""Results on disk from the moment they are complete until the archive has them.

Sending goes on with the same bytes after a crash, whatever the model would answer by then. The
files have the patient's identity, as the archive has: only this user can read them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naiad.errors import NaiadError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class Outbox:
    """The folder of a journal, with the fetched images of the study in hand, and results."""

    def __init__(self, journal: Path) -> None:
        """Make the folder beside ``journal``."""
        self.folder = journal.with_name(f"{journal.name}.files")
        self._results = self.folder / "results"
        self._results.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def tidy(self, waiting: Collection[str]) -> None:
        """Remove what a killed process left, but for the results of studies that wait."""
        shutil.rmtree(self.images, ignore_errors=True)
        kept = {_name(study) for study in waiting}
        for path in self._results.iterdir():
            if path.name not in kept:
                shutil.rmtree(path)

    @property
    def images(self) -> Path:
        """Folder for the images of the study in hand."""
        return self.folder / "images"

    def empty_images(self) -> Path:
        """Return the folder for images, made anew."""
        shutil.rmtree(self.images, ignore_errors=True)
        self.images.mkdir(mode=0o700)
        return self.images

    def put(
        self, study: str, results: Sequence[Dataset], images: Iterable[Path] = ()
    ) -> list[tuple[str, str]]:
        """Write results, and move images, to disk; return the UIDs and names of their files.

        What was there of the study is removed.

        Raises:
            NaiadError: they cannot be written.
        """
        import pydicom

        folder = self._results / _name(study)
        found: list[tuple[str, str]] = []
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            for path in images:
                uid = pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID
                found.append((str(uid), f"{len(found):06d}.dcm"))
                path.replace(folder / found[-1][1])
            for result in results:
                found.append((str(result.SOPInstanceUID), f"{len(found):06d}.dcm"))
                pydicom.dcmwrite(folder / found[-1][1], result, enforce_file_format=True)
            for _, name in found:
                _sync(folder / name)
            for directory in (folder, self._results):
                _sync(directory)
        except OSError as error:
            raise NaiadError(f"{folder} cannot be written: {error.strerror or error}") from None
        return found

    def read(self, study: str, name: str) -> Any:
        """Return the dataset in a file of a study.

        Raises:
            NaiadError: it is gone.
        """
        import pydicom

        path = self._results / _name(study) / name
        try:
            return pydicom.dcmread(path)
        except OSError as error:
            raise NaiadError(f"{path} cannot be read: {error.strerror or error}") from None

    def remove(self, study: str) -> None:
        """Remove the results of a study."""
        shutil.rmtree(self._results / _name(study), ignore_errors=True)


def _name(study: str) -> str:
    """Return the folder of a study; what an archive takes for a UID may be any text."""
    return sha256(study.encode()).hexdigest()[:32]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
