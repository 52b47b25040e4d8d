"""Where results go: an archive or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class Sink(Protocol):
    """Where instances are stored; nothing that is there is replaced."""

    def send(self, instances: Sequence[Dataset]) -> None:
        """Store the instances of one study, all of them or with an error.

        Sending an instance again that arrived before is no error, and stores nothing.

        Raises:
            Unavailable: it cannot be reached, is overloaded or full: some may have been stored.
            NotAllowed: it refuses the credentials.
            InvalidInput: it refuses an instance; says which and why.
        """
        ...

    def has(self, study: str, instance: str) -> bool:
        """Return whether an instance is stored, by its study's UID and its SOPInstanceUID.

        Raises:
            Unavailable: it cannot be reached.
            NotAllowed: it refuses the credentials.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...
