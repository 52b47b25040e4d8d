"""A film graph as queries need it: its films, their titles and words, and what they share."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any, Final

from naiad.applications.movies.graph import ENCODER, PEOPLE, description
from naiad.applications.movies.names import words
from naiad.applications.movies.picks import Pick, Why
from naiad.applications.movies.titles import Titles
from naiad.applications.store import Key, Store
from naiad.errors import InvalidInput

if TYPE_CHECKING:
    from naiad.applications.movies.full_text import FullText

MOST: Final = 100
"""Maximum number of films in one answer."""

LIKING: Final = {"rating": (">=", 4.0)}
"""The rating, out of 5, from which a user counts as liking a film."""

_SHOWN_PEOPLE: Final = 3


@dataclass(frozen=True, slots=True)
class Film:
    """Facts of a film that are kept in memory.

    Attributes:
        genres: their names.
        collection: the series it belongs to, or "".
        votes: number of votes elsewhere, or 0.
    """

    genres: frozenset[str]
    collection: str
    votes: float


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
        self._full_text: tuple[int, FullText] | None = None
        self.state = 0
        """The number of published states read before this one."""
        self._read()

    def _read(self) -> None:
        films = self.store.find("Movie", limit=1_000_000)
        self.titles = Titles((film["id"], film["title"], film["year"]) for film in films)
        self.films = {film["id"]: _film(film) for film in films}
        self.keys: list[str] = [*self.films]
        self._series: dict[str, list[str]] = defaultdict(list)
        for key, film in self.films.items():
            self._series[film.collection].append(key)
        counted = Counter(genre for film in self.films.values() for genre in film.genres)
        self._genre_rarity = {
            genre: _rarity(number, len(self.films)) for genre, number in counted.items()
        }
        self._degrees: dict[str, dict[Key, int]] = {}
        self._likes: dict[str, int] | None = None
        self._fame: dict[str, float] | None = None
        # Publications that only add embeddings leave the words as they are.
        self._texts = hash(tuple((film["id"], description(film)) for film in films))
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
            self.genre(genre)
        used = self.about.get(ENCODER)
        if used is None:
            raise InvalidInput("no film has an embedding yet; run `naiad movies embed`")
        if used != encoder:
            raise InvalidInput(
                f"the films were embedded by {used}, but the text would be embedded by {encoder}; "
                f"serve movies_search with --weights of {used}, or load and embed the films again"
            )

    @property
    def full_text(self) -> FullText:
        """The index of the words of films; made when first needed, and again when films change."""
        from naiad.applications.movies.full_text import FullText

        if self._full_text is None or self._full_text[0] != self._texts:
            self._full_text = self._texts, FullText(self._words())
        return self._full_text[1]

    def _words(self) -> Iterator[tuple[str, str]]:
        """Yield the key and words of each film: title, plot, tagline, genres and people."""
        named = {row["id"]: row["name"] or "" for row in self.store.find("Person", limit=1_000_000)}
        people: dict[Key, list[str]] = defaultdict(list)
        for edge in PEOPLE:
            for link in self.store.links(edge, list(self.films), limit=1_000_000):
                people[link.source].append(named.get(link.target, ""))
        for film in self.store.find("Movie", limit=1_000_000):
            key = film["id"]
            yield key, " ".join((description(film), *(film["genres"] or ()), *people[key]))

    def genre(self, wanted: str) -> str:
        """Return the name of a genre that films have, given in any spelling.

        Raises:
            InvalidInput: there is no such genre; lists them.
        """
        names = sorted(self._genre_rarity)
        found = [name for name in names if words(name) == words(wanted)]
        if not found:
            raise InvalidInput(f"no genre {wanted[:80]!r}; choose from {', '.join(names)}")
        return wanted if wanted in found else found[0]

    def series(self, film: str) -> list[str]:
        """Return the other films of a film's series."""
        name = self.films[film].collection
        return [key for key in self._series.get(name, ()) if key != film] if name else []

    def genres_shared(self, film: str, others: Iterable[str]) -> dict[str, float]:
        """Return the genres in common with others as a share of all of both, the rare for more.

        Others that have none in common are left out.
        """
        ours, weight = self.films[film].genres, self._genre_rarity
        own = sum(map(weight.__getitem__, ours))
        found: dict[str, float] = {}
        shares: dict[frozenset[str], float] = {}  # most films have the genres of many others
        for other in others:
            theirs = self.films[other].genres
            if theirs not in shares:
                both = sum(map(weight.__getitem__, ours & theirs))
                whole = own + sum(map(weight.__getitem__, theirs)) - both
                shares[theirs] = both / whole if whole else 0.0
            if shares[theirs]:
                found[other] = shares[theirs]
        return found

    def rarity(self, edge: str, name: Key) -> float:
        """Return 1 for a person, company, ... of one film, less for one of many, 0 for one of all.

        It is ``1 - log(films of the name) / log(films)``.
        """
        if edge not in self._degrees:
            self._degrees[edge] = self.store.degrees(edge, side="target")
        return _rarity(self._degrees[edge].get(name, 1), len(self.films))

    def likes(self, films: Sequence[str]) -> dict[str, int]:
        """Return the number of users who like each film."""
        liked = self._liked
        return {film: liked.get(film, 0) for film in films}

    @property
    def _liked(self) -> Mapping[str, int]:
        if self._likes is None:
            found = self.store.degrees("rated", side="target", where=LIKING)
            self._likes = {str(film): number for film, number in found.items()}
        return self._likes

    @property
    def fame(self) -> Mapping[str, float]:
        """Fame of a film, 0 to 1: the logarithm of its likes, divided by the largest.

        In a graph without likes, by the votes elsewhere. Unknown films may be missing.
        """
        if self._fame is None:
            known = self._liked or {key: film.votes for key, film in self.films.items()}
            most = math.log1p(max(known.values(), default=0)) or 1.0
            self._fame = {film: math.log1p(number) / most for film, number in known.items()}
        return self._fame

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


def _film(row: Mapping[str, Any]) -> Film:
    genres = frozenset(map(intern, row["genres"] or ()))
    return Film(genres, row["collection"] or "", max(row["vote_count"] or 0.0, 0.0))


def _rarity(number: int, films: int) -> float:
    return 1 - math.log(number) / math.log(max(films, 2))
