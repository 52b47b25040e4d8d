"""Tastes: a model of ratings, learned from a store and kept in a file beside it.

The file has a digest of the ratings that it was learned from, so a change of ratings is noticed.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from naiad.applications.movies.ease import EXACT, Advance, Ratings, factors
from naiad.applications.store import Store
from naiad.artifacts import cache_directory
from naiad.core.schema import Array
from naiad.errors import InvalidInput, NaiadError
from naiad.files import read_npz

if TYPE_CHECKING:
    import pyarrow as pa

OTHER: Final = 0.5
"""The value of a film that a user rated and does not like; of one they like it is 1."""

MOST_FILMS: Final = 10_000
"""Number of films, those with most ratings, that are learned from; bounds memory."""

_FILE: Final = "tastes.npz"
_FORMAT: Final = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tastes:
    """Factors of the films that have ratings.

    Attributes:
        films: the keys of the films.
        factors: float32 [rank, films]; see :mod:`naiad.applications.movies.ease`.
        digest: that of the ratings.
        left_out: number of rated films beyond :data:`MOST_FILMS`.
    """

    films: tuple[str, ...]
    factors: Array
    digest: str
    left_out: int = 0

    def save(self, path: Path) -> None:
        """Write a file, whole or not at all.

        Raises:
            NaiadError: it cannot be written.
        """
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                np.savez(
                    file,
                    format=_FORMAT,
                    films=np.array(self.films, np.str_),
                    factors=self.factors,
                    digest=self.digest,
                    left_out=self.left_out,
                )
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise NaiadError(f"{path} cannot be written: {error.strerror or error}") from None

    @classmethod
    def load(cls, path: Path) -> Tastes | None:
        """Read a file; None if it is missing, damaged, or of another version."""
        try:
            found = read_npz(path)
            films, values = found["films"], found["factors"]
            right = int(found["format"]) == _FORMAT and values.dtype == np.float32
            if not right or values.shape[1:] != films.shape:
                return None
            names = tuple(film.decode() for film in films.tolist())
            return cls(names, values, found["digest"].item().decode(), int(found["left_out"]))
        except (InvalidInput, KeyError):
            return None


@dataclass(frozen=True, slots=True)
class Learned:
    """The tastes for the ratings in a store.

    Attributes:
        tastes: None if nobody rated anything, or they have yet to be learned.
        notice: what to do about tastes that are missing or those of earlier ratings, or "".
    """

    tastes: Tastes | None
    notice: str = ""


def tastes_path(place: str) -> Path:
    """Return the file for the store at ``place``: in its folder, or in the cache if it is a URL."""
    if "://" not in place:
        return Path(place) / _FILE
    parts = urlsplit(place)
    name = hashlib.sha256(f"{parts.hostname}:{parts.port}{parts.path}".encode()).hexdigest()
    return cache_directory() / "movies" / f"{name[:16]}.{_FILE}"


def learn(place: str, store: Store, advance: Advance = lambda done, total: None) -> Learned:
    """Learn from all ratings in a store, and write the file for :func:`current`."""
    return _learned(place, _Table(store.all_links("rated")), advance)


def current(place: str, store: Store, before: Tastes | None = None) -> Learned:
    """Return the tastes for the ratings in a store.

    If the ratings have changed, learn again if that takes about a second (there are at most
    :data:`~naiad.applications.movies.ease.EXACT` users or films); else return the former ones.

    Args:
        place: the store.
        store: the same, opened.
        before: tastes in memory.
    """
    table = _Table(store.all_links("rated"))
    if before is not None and before.digest == table.digest:
        return Learned(before)
    kept = Tastes.load(tastes_path(place))
    if kept is not None and kept.digest == table.digest:
        return Learned(kept)
    if min(table.shape) <= EXACT:
        return _learned(place, table, lambda done, total: None)
    kept = kept or before
    state = "the ratings have changed since they were" if kept else "the ratings have not been"
    return Learned(kept, f"{state} learned from: run `naiad movies learn`")


def likes(users: NDArray[np.int64], ratings: Array) -> NDArray[np.bool_]:
    """Return which ratings mean that their user likes the film: those above the user's own mean.

    All of them, for a user who rates all films the same.

    Args:
        users: the number of each rating's user, int64 [ratings].
        ratings: float64 [ratings].
    """
    number = np.maximum(np.bincount(users), 1)
    above = ratings > (np.bincount(users, ratings) / number)[users]
    return above | (np.bincount(users, above) == 0)[users]


def values_of(liked: NDArray[np.bool_]) -> Array:
    """Return the values of ratings in the model, float32 [ratings]."""
    return np.where(liked, 1.0, OTHER).astype(np.float32)


def digest_of(columns: Mapping[str, Array]) -> str:
    """Return a digest of columns of equal length."""
    digest = hashlib.sha256()
    for name, column in columns.items():
        digest.update(f"{name} {column.dtype} {len(column)}\n".encode())
        digest.update(column.tobytes())
    return digest.hexdigest()


class _Table:
    """All ratings of a store, in an order of their own."""

    def __init__(self, table: pa.Table) -> None:
        import pyarrow.compute as pc

        table = table.filter(pc.call_function("is_finite", [table["rating"].cast("double")]))
        users = np.array(table["from"].to_pylist(), np.str_)
        films = np.array(table["to"].to_pylist(), np.str_)
        rating = table["rating"].cast("double").to_numpy()
        self._users, self._films = (np.unique(each, return_inverse=True) for each in (users, films))
        order = np.lexsort((rating, self._films[1], self._users[1]))
        self._order, self._rating = order, rating[order]
        self.shape = len(self._users[0]), len(self._films[0])
        self.digest = digest_of(
            {
                "user": self._users[0],
                "film": self._films[0],
                "from": self._users[1][order],
                "to": self._films[1][order],
                "rating": self._rating,
            }
        )

    def learned(self, advance: Advance) -> Tastes | None:
        if not len(self._rating):
            return None
        users, films = self._users[1][self._order], self._films[1][self._order]
        # Of several ratings of a film by one user, the best, which is the last, counts.
        last = np.append((np.diff(users) != 0) | (np.diff(films) != 0), True)
        users, films = users[last], films[last]
        values = values_of(likes(users, self._rating[last]))
        number = np.bincount(films)
        kept = np.sort(np.argsort(-number, kind="stable")[:MOST_FILMS])
        place = np.full(len(number), -1)
        place[kept] = np.arange(len(kept))
        there = place[films] >= 0
        matrix = Ratings(
            users[there], place[films[there]], values[there], (self.shape[0], len(kept))
        )
        return Tastes(
            tuple(self._films[0][kept].tolist()),
            factors(matrix, advance),
            self.digest,
            len(number) - len(kept),
        )


def _learned(place: str, table: _Table, advance: Advance) -> Learned:
    found = table.learned(advance)
    if found is not None:
        try:
            found.save(tastes_path(place))
        except NaiadError as error:  # a store that may only be read
            _log.warning("%s", error)
    return Learned(found)
