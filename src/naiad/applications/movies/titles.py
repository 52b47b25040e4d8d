"""Lookup of films by title, tolerant of case and spacing, with suggestions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from naiad.applications.movies.graph import full_title
from naiad.errors import InvalidInput, MissingExtra

try:
    from rapidfuzz import fuzz, process, utils
except ImportError as error:
    raise MissingExtra("movies", "rapidfuzz") from error

_SUGGESTIONS = 5
_CLOSE = 60  # of 100
_LONGEST = 300

# Misspelt titles, and parts of titles with a lower weight.
_SCORERS = ((fuzz.ratio, 1.0), (fuzz.partial_ratio, 0.85))


class Titles:
    """An index of titles.

    Args:
        films: the key, title and year of each film.
    """

    def __init__(self, films: Iterable[tuple[str, str | None, int | None]]) -> None:
        self._keys: dict[str, list[str]] = defaultdict(list)
        self._names: dict[str, str] = {}
        self._titles: dict[str, str] = {}
        for key, title, year in films:
            self._names[key] = full_title(title, year)
            self._titles[key] = utils.default_process(title or "")
            for name in {title or "", self._names[key]}:
                self._keys[_plain(name)].append(key)

    def find(self, wanted: str) -> str:
        """Return the key of a film, given its title, title and year, or key.

        Raises:
            InvalidInput: no film has that title, or several have; lists the candidates.
        """
        found = self._keys.get(_plain(wanted), []) if wanted.strip() else []
        if len(found) == 1:
            return found[0]
        if found:
            listed = "; ".join(f"{self._names[key]}, id {key}" for key in found)
            raise InvalidInput(f"{len(found)} films are called {wanted!r}: {listed}. Give an id")
        if wanted in self._names:
            return wanted
        raise InvalidInput(f"no film is called {_shown(wanted)}{self._suggestions(wanted)}")

    def name(self, key: str) -> str:
        """Return the title and year of a film."""
        return self._names[key]

    def _suggestions(self, wanted: str) -> str:
        sought = utils.default_process(wanted[:_LONGEST])
        scores: dict[str, float] = {}
        for scorer, weight in _SCORERS:
            found = process.extract(sought, self._titles, scorer=scorer, limit=_SUGGESTIONS)
            for _, score, key in found:
                scores[key] = max(scores.get(key, 0.0), weight * score)
        best = sorted(scores, key=lambda key: (-scores[key], self._names[key]))[:_SUGGESTIONS]
        close = [self._names[key] for key in best if scores[key] >= _CLOSE]
        if not close:
            return f"; none of the {len(self._names):,} films has a similar title"
        return f"; did you mean: {'; '.join(close)}"


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _shown(wanted: str) -> str:
    return repr(wanted if len(wanted) <= 80 else f"{wanted[:80]}...")
