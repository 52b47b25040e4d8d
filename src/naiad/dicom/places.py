"""The places that a user names: ``https://host/dicom-web``, a folder, a zip archive, a DICOMDIR."""

from __future__ import annotations

from pathlib import Path

from naiad.dicom.access import ArchiveAccess
from naiad.dicom.sink import Sink
from naiad.dicom.source import Source


def is_url(place: str) -> bool:
    """Return whether a place is a URL."""
    return place.startswith(("http://", "https://"))


def open_source(place: str, access: ArchiveAccess) -> Source:
    """Open the source at ``--from``.

    Raises:
        InvalidInput: there is none, or its credentials would travel unencrypted.
        MissingExtra: dicomweb-client or pydicom is not installed.
    """
    if is_url(place):
        from naiad.dicom.archive import Archive

        return Archive(place, access)
    from naiad.dicom.folder import Folder

    return Folder(Path(place))


def open_sink(place: str, access: ArchiveAccess) -> Sink:
    """Open the sink at ``--to``; a folder is made when something is stored.

    Raises:
        InvalidInput: the credentials would travel unencrypted.
        MissingExtra: dicomweb-client or pydicom is not installed.
    """
    if is_url(place):
        from naiad.dicom.archive import Archive

        return Archive(place, access)
    from naiad.dicom.folder import FolderSink

    return FolderSink(Path(place))
