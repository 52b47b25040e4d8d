"""The words by which film graphs name tables and properties, and the forms of their values.

Words are compared without case and punctuation: ``ACTS_IN`` is ``actsIn``.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from typing import Any, Final

from naiad.applications.movies.graph import movie_schema, year_of
from naiad.applications.movies.names import article_first

NODES: Final[Mapping[str, tuple[str, ...]]] = {
    "Movie": ("Movie", "Movies", "Film", "Films"),
    "Person": ("Person", "Persons", "People", "Actor", "Actors", "Director", "Directors"),
    "Genre": ("Genre", "Genres"),
    "Company": ("Company", "Companies", "ProductionCompany"),
    "Country": ("Country", "Countries", "ProductionCountry"),
    "Language": ("Language", "Languages", "SpokenLanguage"),
    "User": ("User", "Users"),
}
"""Names of nodes, by node table."""

EDGES: Final[Mapping[str, tuple[str, ...]]] = {
    "hasDirector": ("hasDirector",),
    "hasWriter": ("hasWriter",),
    "hasActor": ("hasActor",),
    "hasGenre": ("hasGenre",),
    "hasProductionCompany": ("hasProductionCompany",),
    "hasProductionCountry": ("hasProductionCountry",),
    "hasAvailabilityIn": ("hasAvailabilityIn",),
    "hasSpokenLanguage": ("hasSpokenLanguage",),
    "rated": ("rated", "rates", "rating", "ratings", "hasRated"),
}
"""Names of edges in the direction of the schema, by edge table."""

BACKWARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "hasDirector": ("DIRECTED",),
    "hasWriter": ("WROTE",),
    "hasActor": ("ACTS_IN", "ACTED_IN"),
    "hasGenre": ("has_movie",),
}
"""Names of edges in the other direction, such as from a person to a film."""

PROPERTIES: Final[Mapping[str, tuple[str, ...]]] = {
    "title": ("name", "movie_title"),
    "overview": ("description", "plot"),
    "genres": ("genre",),
    "released": ("releaseDate", "release_date"),
    "language": ("originalLanguage", "original_language"),
    "collection": ("movieCollectionName",),
    "imdb_id": ("imdbId",),
    "tmdb_id": ("tmdbId",),
    "vote_average": ("voteAverage",),
    "vote_count": ("voteCount",),
    "runtime": ("runTime",),
}
"""Other names of a film's properties; a property's own name comes first."""

RATING: Final = ("rating", "userRating", "stars")
"""Names of the rating of an edge ``rated``."""

_KINDS = ("type", "$label", "label")  # attributes that may tell the table of a node
_LABELS = ("$label", "label", "type")  # and of an edge
_NO_OVERVIEW = "No overview found."  # as TMDB says it
_MILLISECONDS = 100_000_000_000  # from here on a time is not in seconds; year 5138 if it were


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge table, and whether the source's edges lead the other way."""

    table: str
    backwards: bool


@cache
def _plain(word: str) -> str:
    return re.sub(r"[\W_]+", "", word).casefold()


_FILM = movie_schema().node("Movie").properties
_NODES = {_plain(word): table for table, words in NODES.items() for word in words}
_EDGES = {
    _plain(word): Edge(table, backwards)
    for names, backwards in ((EDGES, False), (BACKWARDS, True))
    for table, words in names.items()
    for word in words
}


def node_table(name: str) -> str | None:
    """Return the node table that a collection, type or label names."""
    return _NODES.get(_plain(name))


def edge_table(name: str) -> Edge | None:
    """Return the edge table that a collection, type or label names."""
    return _EDGES.get(_plain(name))


def node_of(collection: str, document: Mapping[str, Any]) -> str | None:
    """Return the table of a node: the collection tells, or its ``type``, ``$label``, ``label``."""
    words = (collection, *_texts(document, _KINDS))
    return next(filter(None, map(node_table, words)), None)


def edge_of(collection: str, document: Mapping[str, Any]) -> Edge | None:
    """Return the table of an edge: the collection tells, or its ``$label``, ``label``, ``type``."""
    words = (collection, *_texts(document, _LABELS))
    return next(filter(None, map(edge_table, words)), None)


def kind_of(document: Mapping[str, Any]) -> str:
    """Return the type or label of a node or edge, or "", for messages."""
    return next(_texts(document, ("$label", "type")), "")[:40]


def names_of(name: str) -> tuple[str, ...]:
    """Return the names by which sources call a film's property, the preferred first."""
    return name, *PROPERTIES.get(name, ())


def film_properties(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a film; those that are missing or of another type are None."""
    properties: dict[str, Any] = {}
    there = _by_plain_name(document)
    for name, kind in _FILM.items():
        values = (_converted(value, name, kind) for value in _among(there, names_of(name)))
        properties[name] = next((value for value in values if value not in (None, "")), None)
    if properties["overview"] == _NO_OVERVIEW:
        properties["overview"] = None
    if properties["year"] is None:
        properties["year"] = year_of(properties["released"])
    if properties["year"] is None and properties["title"]:
        properties["title"], properties["year"] = title_and_year(properties["title"])
    return properties


def title_and_year(written: str) -> tuple[str, int | None]:
    """Return the title and the year of a film as MovieLens writes it: ``Matrix, The (1999)``.

    ``Postino, Il (Postman, The) (1994)`` is ``Il Postino (The Postman)``. Of years, such as
    ``(2006–2007)``, the first counts.
    """
    title, year = written.strip(), None
    if found := re.fullmatch(r"(.+?)\s*\((\d{4})(?:\s*[-\u2010-\u2015]\s*(?:\d{4})?)?\)", title):
        title, year = found[1], int(found[2])
    return re.sub(r"[^()]*[^() ]", lambda part: article_first(part[0]), title), year


def name_of(document: Mapping[str, Any]) -> str | None:
    """Return the name of a person, genre, company, ..., which may be its ``label``."""
    names = (text(document.get(key)) for key in ("name", "title", "label", "login"))
    # A label may be that of the table.
    return next((name for name in names if name and node_table(name) is None), None)


def rating_of(document: Mapping[str, Any]) -> float | None:
    """Return the rating of an edge."""
    values = map(number, _values(document, RATING))
    return next((value for value in values if value is not None), None)


def time_of(document: Mapping[str, Any]) -> int | None:
    """Return the time of a rating in seconds since 1970."""
    return next(map(seconds, _values(document, ("timestamp",))), None)


def text(value: object) -> str | None:
    """Return a text or a number as text that UTF-8 can encode."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if number(value) is None:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def number(value: object) -> float | None:
    """Return a finite number, which may be given as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def day(value: object) -> str | None:
    """Return a date as ``1979-12-06``.

    Args:
        value: a date; text; or a number or its text: milliseconds since 1970, negative before, or
            a year if it has four digits.
    """
    if isinstance(value, date):
        return value.isoformat()[:10]
    found = number(value)
    if found is None:
        written = text(value) or ""
        begin = re.match(r"\d{4}-\d\d-\d\d(?=T| \d)", written)
        written = begin[0] if begin else written
        return written if re.search(r"\D", written) else None
    if 1000 <= found <= 9999:
        return str(int(found))
    try:
        return (datetime(1970, 1, 1) + timedelta(milliseconds=found)).date().isoformat()
    except OverflowError:
        return None


def seconds(value: object) -> int | None:
    """Return a time in seconds since 1970: a time, or a number of seconds or milliseconds, or text.

    Times without a zone are in UTC.
    """
    if isinstance(value, datetime):
        zone = value.tzinfo or timezone.utc
        return math.floor(value.replace(tzinfo=zone).timestamp())
    if isinstance(value, date):
        return (value - date(1970, 1, 1)).days * 86_400
    found = number(value)
    if found is None or abs(found) >= 2**63:
        return None
    return int(found / 1000) if abs(found) >= _MILLISECONDS else int(found)


def listed_in(cell: str) -> Any:
    """Return the list that a text holds: in JSON or Python syntax, or separated by ``|``."""
    if cell.lstrip().startswith(("[", "{")):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            pass
        try:
            return ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pass
    return cell.split("|")


def _values(document: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Any]:
    """Yield the values of attributes with one of these names, in the order of the names."""
    return _among(_by_plain_name(document), names)


def _by_plain_name(document: Mapping[str, Any]) -> dict[str, Any]:
    return {_plain(name): value for name, value in document.items()}


def _among(there: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Any]:
    return (there[_plain(name)] for name in names if _plain(name) in there)


def _texts(document: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    return (value for name in names if isinstance(value := document.get(name), str))


def _converted(value: Any, name: str, kind: str) -> Any:
    if name == "released":
        return day(value)
    if kind == "double":
        return number(value)
    if kind == "int64":
        found = number(value)
        return int(found) if found is not None and abs(found) < 2**63 else None
    if kind == "strings":
        listed = listed_in(value) if isinstance(value, str) else value
        listed = listed if isinstance(listed, list) else [listed]
        names = (text(each.get("name") if isinstance(each, dict) else each) for each in listed)
        return list(dict.fromkeys(filter(None, names))) or None
    return text(value)
