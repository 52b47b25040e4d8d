"""Films that were picked, and why."""

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
    """What speaks for a film.

    Attributes:
        people: who is in both it and what it was picked for, with what they were in it.
        genres: those that both have.
        liked: films the user likes that it is near to.
        users: how many users like both it and something that the user likes.
    """

    people: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    liked: tuple[str, ...] = ()
    users: int = 0

    def __str__(self) -> str:
        """In words."""
        parts: list[str] = []
        if self.liked:
            parts.append(f"near to {', '.join(self.liked)}")
        if self.people:
            parts.append(f"with {', '.join(self.people)}")
        if self.genres:
            parts.append(", ".join(self.genres).lower())
        if self.users:
            parts.append(f"liked by {self.users} who like the same films")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Pick:
    """A film that was picked.

    Attributes:
        id: its key in the store.
        title: "" where it has none.
        year: 0 where it is not known.
        score: the larger, the better; of one answer they can be compared.
        why: what speaks for it.
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
    """Picks, what they are for, and what everybody must know of them, as JSON."""
    fields = {"about": about, "notice": notice, "picks": [asdict(pick) for pick in picks]}
    return json.dumps(fields).encode()


def as_arrays(packed: bytes) -> dict[str, Array]:
    """What was packed, as the tensors of an answer."""
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
    """The picks of an answer."""
    columns = [arrays[name].tolist() for name in ("id", "title", "year", "score", "why")]
    return [
        Pick(id.decode(), title.decode(), year, score, decode(why, Why))
        for id, title, year, score, why in zip(*columns, strict=True)
    ]


def _texts(values: Sequence[str]) -> Array:
    array = np.empty(len(values), object)
    array[:] = [value.encode() for value in values]
    return array
