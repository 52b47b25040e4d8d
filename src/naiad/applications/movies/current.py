"""The recommender for the current state of a store, made again when films or tastes change."""

from __future__ import annotations

from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.recommend import Recommender
from naiad.applications.movies.tastes import Learned, current, tastes_path


class Current:
    """The recommender of a catalogue that others refresh.

    Args:
        catalogue: the films.
        place: their store.
    """

    def __init__(self, catalogue: Catalogue, place: str) -> None:
        self._catalogue = catalogue
        self._place = place
        self._learned: Learned | None = None
        self._seen: tuple[object, ...] = ()
        self._made: Recommender | None = None

    @property
    def notice(self) -> str:
        """The notice of :class:`~naiad.applications.movies.tastes.Learned`, or ""."""
        return self._learned.notice if self._learned else ""

    def recommender(self) -> Recommender:
        """Return the recommender."""
        seen = (self._catalogue.state, _stamp(self._place))
        if self._made is None or seen != self._seen:
            before = self._learned.tastes if self._learned else None
            self._learned = current(self._place, self._catalogue.store, before)
            self._made = Recommender(self._catalogue, self._learned.tastes)
            self._seen = (self._catalogue.state, _stamp(self._place))
        return self._made


def _stamp(place: str) -> tuple[int, int] | None:
    """Return a value that changes with every writing of the tastes' file; None without one."""
    try:
        found = tastes_path(place).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
