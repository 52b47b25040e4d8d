"""Picked films and the reasons for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from naiad.applications.movies.graph import full_title
from naiad.core.schema import Array, Arrays
from naiad.typed_json import decode


@dataclass(frozen=True, slots=True)
class Why:
    """The reasons for a pick.

    Attributes:
        people: the people it shares with the films it was picked for, with their roles.
        genres: the genres it shares with them.
        liked: the films that the user likes that add most to its score.
        users: number of users who like it and a film that the user likes.
    """

    people: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    liked: tuple[str, ...] = ()
    users: int = 0

    def __str__(self) -> str:
        """Return the reasons in words."""
        parts: list[str] = []
        if self.liked:
            parts.append(f"like {', '.join(self.liked)}")
        if self.people:
            parts.append(f"with {', '.join(self.people)}")
        if self.genres:
            parts.append(", ".join(self.genres).lower())
        if self.users:
            parts.append(f"liked by {self.users} who like the same films")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Pick:
    """A picked film.

    Attributes:
        id: its key in the store.
        title: its title, or "".
        year: its year, or 0 if unknown.
        score: higher is better; comparable only within one answer.
        why: the reasons for it.
    """

    id: str
    title: str
    year: int
    score: float
    why: Why

    @property
    def name(self) -> str:
        """Title and year."""
        return full_title(self.title, self.year)


def pack(picks: Sequence[Pick], about: str, notice: str) -> bytes:
    """Pack picks, the question they answer, and the notice, as JSON."""
    fields = {"about": about, "notice": notice, "picks": [asdict(pick) for pick in picks]}
    return json.dumps(fields).encode()


def as_arrays(packed: bytes) -> dict[str, Array]:
    """Convert packed picks to the tensors of an answer."""
    found = json.loads(packed)
    picks: list[dict[str, Any]] = found["picks"]
    return {
        "id": _texts([pick["id"] for pick in picks]),
        "title": _texts([pick["title"] for pick in picks]),
        "year": np.array([pick["year"] for pick in picks], np.int32),
        "score": np.array([pick["score"] for pick in picks], np.float32),
        "why": _texts([json.dumps(pick["why"]) for pick in picks]),
        "about": _texts([found["about"]]),
        "notice": _texts([found["notice"]]),
    }


def from_arrays(arrays: Arrays) -> list[Pick]:
    """Return the picks in an answer's tensors."""
    columns = [arrays[name].tolist() for name in ("id", "title", "year", "score", "why")]
    return [
        Pick(id.decode(), title.decode(), year, score, decode(why, Why))
        for id, title, year, score, why in zip(*columns, strict=True)
    ]


def _texts(values: Sequence[str]) -> Array:
    array = np.empty(len(values), object)
    array[:] = [value.encode() for value in values]
    return array
