"""Lookup of films by id or title, tolerant of spelling, with suggestions."""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from naiad.applications.movies.graph import full_title
from naiad.applications.movies.names import article_first, without_articles, words
from naiad.errors import InvalidInput, MissingExtra

try:
    from rapidfuzz import fuzz, process
except ImportError as error:
    raise MissingExtra("movies", "rapidfuzz") from error

_SUGGESTIONS: Final = 5
_LISTED: Final = 20  # films of one title
_CLOSE: Final = 60  # of 100
_LONGEST: Final = 300
_SHORTEST: Final = 0.6  # length of a suggestion, as a share of what was given

# Titles that begin with the text, and those in which a word does.
_BEGINS, _INSIDE = 1.0, 0.95
# Misspelt titles, words in another order, and parts of titles.
_SCORERS = ((fuzz.ratio, 1.0), (fuzz.token_sort_ratio, 0.95), (fuzz.partial_ratio, 0.85))


class Titles:
    """An index of films' ids and titles.

    Args:
        films: the id, title and year of each film.
    """

    def __init__(self, films: Iterable[tuple[str, str | None, int | None]]) -> None:
        self._names: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._written: dict[str, list[str]] = defaultdict(list)
        self._loose: dict[str, list[str]] = defaultdict(list)
        for film, title, year in films:
            self._names[film] = full_title(title, year)
            names = [words(each) for each in _titles(title)]
            self._words[film] = names[0]
            dated = [f"{name} {year}" for name in names] if year and title else []
            for name in dict.fromkeys((names[0], *dated[:1])):
                self._written[name].append(film)
            for name in dict.fromkeys(map(without_articles, (*names, *dated))):
                self._loose[name].append(film)

    def find(self, wanted: str) -> str:
        """Return the id of a film, given its id, its title, or title and year.

        An id comes before a title, and the title itself before one that differs in its article or
        in spaces. Case, accents and punctuation never matter.

        Raises:
            InvalidInput: no film has that title, or several have; lists the candidates.
        """
        for film in (wanted, wanted.strip()):
            if film in self._names:
                return film
        name = words(article_first(wanted.strip()))
        for index, sought in ((self._written, name), (self._loose, without_articles(name))):
            found = index.get(sought, []) if sought else []
            if len(found) == 1:
                return found[0]
            if found:
                raise InvalidInput(self._several(wanted, found))
        raise InvalidInput(f"no film is called {_shown(wanted)}{self._suggestions(wanted)}")

    def completed(self, text: str, number: int) -> dict[str, float]:
        """Return films whose title continues or resembles a text, and how well, 0 to 1.

        The best come first: titles that begin with the text, then those in which one of the words
        does, the short before the long; similar ones only if there are none of these. Case,
        accents and punctuation never matter.
        """
        sought = words(article_first(text.strip()[:_LONGEST]))
        if not sought:
            return {}
        scores = {
            film: _BEGINS if name.startswith(sought) else _INSIDE
            for film, name in self._words.items()
            if f" {sought}" in f" {name}"
        }
        if not scores:
            similar = self._similar(sought, number)
            scores = {film: 0.01 * score for film, score in similar.items() if score >= _CLOSE}

        def rank(film: str) -> tuple[float, int, str]:
            return -scores[film], len(self._words[film]), self._names[film]

        return {film: scores[film] for film in heapq.nsmallest(number, scores, rank)}

    def name(self, film: str) -> str:
        """Return the title and year of a film."""
        return self._names[film]

    def _several(self, wanted: str, found: list[str]) -> str:
        listed = [f"{self._names[film]}, id {film}" for film in found[:_LISTED]]
        if more := len(found) - len(listed):
            listed.append(f"and {more:,} more")
        return f"{len(found):,} films are called {_shown(wanted)}: {'; '.join(listed)}. Give an id"

    def _suggestions(self, wanted: str) -> str:
        sought = words(wanted[:_LONGEST])
        scores = self._similar(sought, _SUGGESTIONS)
        best = sorted(scores, key=lambda film: (-scores[film], self._names[film]))[:_SUGGESTIONS]
        close = [self._names[film] for film in best if scores[film] >= _CLOSE]
        if not sought or not close:
            return f"; none of the {len(self._names):,} films has a similar title"
        return f"; did you mean: {'; '.join(close)}"

    def _similar(self, sought: str, number: int) -> dict[str, float]:
        """Return at least the ``number`` films with the most similar titles: scores of 100."""
        least = _SHORTEST * len(sought)  # otherwise `M` is part of every name with an m
        choices = {film: name for film, name in self._words.items() if len(name) >= least}
        scores: dict[str, float] = {}
        for scorer, weight in _SCORERS:
            found = process.extract(sought, choices, scorer=scorer, limit=number)
            for _, score, film in found:
                scores[film] = max(scores.get(film, 0.0), weight * score)
        return scores


def _titles(title: str | None) -> Iterator[str]:
    """Yield a title and the titles in it: ``Il Postino (The Postman)`` has three."""
    yield article_first(title or "")
    if found := re.fullmatch(r"(.+?) \((?:a\.k\.a\. )?(.+)\)", title or ""):
        yield from map(article_first, found.groups())


def _shown(wanted: str) -> str:
    return repr(wanted if len(wanted) <= 80 else f"{wanted[:80]}...")
