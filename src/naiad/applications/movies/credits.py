"""Films by genre, year and the people in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rapidfuzz import process, utils

from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.graph import PEOPLE
from naiad.applications.movies.names import words
from naiad.applications.store import Record, Where
from naiad.errors import InvalidInput

_SUGGESTIONS = 5
_CLOSE = 85  # of 100
_LONGEST = 80


def films_with(catalogue: Catalogue, role: str, name: str) -> set[str]:
    """Return the keys of the films in which a person has a role.

    Args:
        catalogue: the films.
        role: a role of :data:`naiad.applications.movies.graph.PEOPLE`, such as ``director``.
        name: the person's name in any case, with or without accents and punctuation; all people of
            that name are taken.

    Raises:
        InvalidInput: nobody of that name has the role; lists similar names.
    """
    (edge,) = (edge for edge, each in PEOPLE.items() if each == role)
    films = _films(catalogue, edge, catalogue.store.find("Person", {"name": name}))
    if films:
        return films
    everyone = catalogue.store.find("Person", limit=1_000_000)
    found = [row for row in everyone if words(row["name"] or "") == words(name)]
    films = _films(catalogue, edge, found)
    if films:
        return films
    if found:
        raise InvalidInput(f"{found[0]['name']} is the {role} of no film in this graph")
    names = sorted({row["name"] for row in everyone if row["name"]})
    close = process.extract(
        name[:_LONGEST],
        names,
        processor=utils.default_process,
        limit=_SUGGESTIONS,
        score_cutoff=_CLOSE,
    )
    meant = f"; did you mean: {'; '.join(each for each, *_ in close)}" if close else ""
    raise InvalidInput(f"no {role} is called {name[:_LONGEST]!r}{meant}")


def _films(catalogue: Catalogue, edge: str, people: Sequence[Record]) -> set[str]:
    keys = [row["id"] for row in people]
    return {str(link.source) for link in catalogue.store.links(edge, keys, side="target")}


def search_filter(
    catalogue: Catalogue,
    *,
    genre: str = "",
    first_year: int = 0,
    last_year: int = 0,
    director: str = "",
    actor: str = "",
) -> Where:
    """Return the condition for a genre, a range of years and people; "" and 0 mean any.

    Raises:
        InvalidInput: the last year is before the first, nobody is called so, or no genre is.
    """
    where: dict[str, Any] = {"genres": ("has", catalogue.genre(genre))} if genre else {}
    if first_year and last_year and first_year > last_year:
        raise InvalidInput(f"the first year, {first_year}, is after the last, {last_year}")
    if first_year and last_year:
        where["year"] = ("between", (first_year, last_year))
    elif first_year:
        where["year"] = (">=", first_year)
    elif last_year:
        where["year"] = ("<=", last_year)
    names = {"director": director, "actor": actor}
    films = [films_with(catalogue, role, name) for role, name in names.items() if name.strip()]
    if films:
        where["id"] = ("in", sorted(set.intersection(*films)))
    return where
