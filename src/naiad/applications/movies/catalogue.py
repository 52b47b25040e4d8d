"""Queries of a film graph: films like a film, like a description, or for a user."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from naiad.applications.movies.graph import ENCODER, PEOPLE, VECTOR
from naiad.applications.movies.picks import Pick, Why
from naiad.applications.movies.titles import Titles
from naiad.applications.store import Key, Store, Where
from naiad.core.schema import Array
from naiad.errors import InvalidInput

MOST: Final = 100
"""Maximum number of films in one answer."""

LIKING: Final = {"rating": (">=", 4.0)}
"""The rating, out of 5, from which a user counts as liking a film."""

_SHOWN_PEOPLE: Final = 3


class Catalogue:
    """A film store and an index of its titles.

    Args:
        store: a store with :func:`naiad.applications.movies.graph.movie_schema`; the caller closes
            it.

    Raises:
        InvalidInput: the store has another schema.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.state = 0
        """The number of published states read before this one."""
        self._read()

    def _read(self) -> None:
        films = self.store.find("Movie", limit=1_000_000)
        self.keys: list[str] = [film["id"] for film in films]
        self.titles = Titles((film["id"], film["title"], film["year"]) for film in films)
        self._likes: dict[str, int] = {}
        self.about = {row["id"]: row["text"] for row in self.store.find("About")}

    def refresh(self) -> None:
        """Move to the newest published state."""
        if self.store.refresh():
            self._read()
            self.state += 1

    @property
    def notice(self) -> str:
        """The notice to users of these films, or ""."""
        return self.about.get("notice") or ""

    def find(self, wanted: str) -> str:
        """Return a film's key by title, title and year, or key; raises as `Titles.find`."""
        return self.titles.find(wanted)

    def check_search(self, text: str, genre: str, encoder: str) -> None:
        """Check the arguments of a search.

        Args:
            text: the subject of the films.
            genre: the genre they must have, or "".
            encoder: the encoder of the text, which must be the one that embedded the films.

        Raises:
            InvalidInput: the text is empty, the genre unknown, or the encoder another one.
        """
        if not text.strip():
            raise InvalidInput("text is empty; describe the film")
        if genre:
            names = [row["name"] for row in self.store.find("Genre", order="name", limit=1000)]
            if genre not in names:
                raise InvalidInput(f"no genre {genre[:80]!r}; choose from {', '.join(names)}")
        used = self.about.get(ENCODER)
        if used is None:
            raise InvalidInput("no film has an embedding yet; run `naiad movies embed`")
        if used != encoder:
            raise InvalidInput(
                f"the films were embedded by {used}, but the text would be embedded by {encoder}; "
                f"serve movies_search with --weights of {used}, or load and embed the films again"
            )

    def similar(self, film: str, k: int) -> list[Pick]:
        """Return the films whose descriptions are most like that of ``film``, a key.

        Raises:
            InvalidInput: the film has no embedding yet.
        """
        vectors = self.store.vectors("Movie", VECTOR, [film])
        if film not in vectors:
            raise InvalidInput(
                f"{self.titles.name(film)} has no embedding yet; run `naiad movies embed`"
            )
        hits = self.store.nearest("Movie", VECTOR, vectors[film], k, where={"id": ("!=", film)})
        scores = {str(hit.key): hit.score for hit in hits}
        return self.explained(scores, [film])

    def search(self, query: Array, k: int, where: Where | None = None) -> list[Pick]:
        """Return the films whose descriptions are nearest to a vector."""
        hits = self.store.nearest("Movie", VECTOR, query, k, where=where)
        return self.explained({str(hit.key): hit.score for hit in hits}, [])

    def likes(self, films: Sequence[str]) -> dict[str, int]:
        """Return the number of users who like each film; cached."""
        new = [film for film in films if film not in self._likes]
        found = self.store.links("rated", new, side="target", where=LIKING, limit=1_000_000)
        self._likes |= dict.fromkeys(new, 0) | Counter(str(link.target) for link in found)
        return {film: self._likes[film] for film in films}

    def explained(
        self,
        scores: Mapping[str, float],
        reasons: Sequence[str],
        liked: Mapping[str, Sequence[str]] | None = None,
        users: Mapping[str, int] | None = None,
    ) -> list[Pick]:
        """Return films with their scores, and what each shares with ``reasons``, other films.

        Args:
            scores: scores by key, the best first.
            reasons: the keys of the other films.
            liked: by key, the liked films to name as similar.
            users: by key, the number of users; see `Why`.
        """
        keys = list(dict.fromkeys((*scores, *reasons)))
        films = {
            key: film
            for key, film in zip(keys, self.store.get("Movie", keys), strict=True)
            if film is not None
        }
        genres = {genre for key in reasons for genre in films[key]["genres"] or ()}
        people = self.shared_people(list(scores), reasons)
        return [
            Pick(
                key,
                films[key]["title"] or "",
                films[key]["year"] or 0,
                score,
                Why(
                    people=tuple(people.get(key, ())),
                    genres=tuple(g for g in films[key]["genres"] or () if g in genres),
                    liked=tuple(self.titles.name(other) for other in (liked or {}).get(key, ())),
                    users=(users or {}).get(key, 0),
                ),
            )
            for key, score in scores.items()
        ]

    def shared_people(self, films: Sequence[str], others: Sequence[str]) -> dict[str, list[str]]:
        """Return, by film, the people it shares with others, as ``Ann Hay (director)``."""
        if not others:
            return {}
        roles: dict[str, dict[Key, str]] = defaultdict(dict)
        for edge, role in PEOPLE.items():
            for link in self.store.links(edge, list(dict.fromkeys((*films, *others)))):
                roles[str(link.source)].setdefault(link.target, role)
        theirs = {person for film in others for person in roles[film]}
        found = {
            film: {person: role for person, role in roles[film].items() if person in theirs}
            for film in films
        }
        keys = list({person for people in found.values() for person in people})
        records = self.store.get("Person", keys)
        names = {key: row["name"] for key, row in zip(keys, records, strict=True) if row}
        return {
            film: [f"{names[key]} ({role})" for key, role in people.items()][:_SHOWN_PEOPLE]
            for film, people in found.items()
        }
