"""Films in the CSV files of MovieLens and TMDB.

=========================== ========================================================
``movies_metadata.csv``     films of TMDB; or ``tmdb_5000_movies.csv``
``credits.csv``             their people; or ``tmdb_5000_credits.csv``
``movies.csv``              films of MovieLens, used if there are none of TMDB
``links.csv``               TMDB and IMDb numbers of MovieLens's films
``ratings.csv``             ratings of MovieLens; or ``ratings_small.csv``
=========================== ========================================================
"""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv

from naiad.applications.movies.collecting import Collector
from naiad.applications.movies.graph import MovieTables, year_of
from naiad.applications.movies.vocabulary import title_and_year
from naiad.applications.store.schema import SOURCE, TARGET
from naiad.errors import InvalidInput

FILMS: Final = ("movies_metadata.csv", "tmdb_5000_movies.csv", "movies.csv")
"""The film files, of which a folder must have one."""

_CREDITS = ("credits.csv", "tmdb_5000_credits.csv")
_RATINGS = ("ratings.csv", "ratings_small.csv")
FILES: Final = (*FILMS, *_CREDITS, *_RATINGS, "links.csv")
"""All files that are read."""

_JOBS = {"Director": "hasDirector", "Writer": "hasWriter", "Screenplay": "hasWriter"}
_NUMBERS = ("vote_average", "vote_count", "popularity", "runtime", "budget", "revenue")
_LISTED = {
    "production_companies": ("hasProductionCompany", "Company", "id"),
    "production_countries": ("hasProductionCountry", "Country", "iso_3166_1"),
    "spoken_languages": ("hasSpokenLanguage", "Language", "iso_639_1"),
}
_CELL_BYTES = 16 << 20


def read_tables(folder: Path) -> MovieTables:
    """Read the graph in a folder of CSV files.

    Raises:
        InvalidInput: a file cannot be read, or lacks a column.
    """
    collector = Collector()
    films = _first(folder, FILMS)
    if films is None:
        raise InvalidInput(f"{folder} lacks its films: {', '.join(FILMS[:-1])} or {FILMS[-1]}")
    links = _read_links(folder)
    if films.name == "movies.csv":
        _read_movielens(films, links, collector)
        numbers = None
    else:
        _read_tmdb(films, collector)
        numbers = {movie: found["tmdb_id"] for movie, found in links.items()}
        if credits := _first(folder, _CREDITS):
            _read_credits(credits, collector)
    ratings = _first(folder, _RATINGS)
    rated = None if ratings is None else _read_ratings(ratings, numbers, collector)
    tables = collector.tables(str(folder))
    if rated is not None:
        tables.edges["rated"] = rated
    return tables


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    csv.field_size_limit(_CELL_BYTES)  # casts are long
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            for column in columns:
                if column not in (rows.fieldnames or ()):
                    there = ", ".join(rows.fieldnames or ())
                    raise InvalidInput(f"{path} has no column {column!r}; it has {there}")
            yield from rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read as CSV: {error}") from error


def _read_links(folder: Path) -> dict[str, dict[str, str | None]]:
    path = folder / "links.csv"
    if not path.is_file():
        return {}
    return {
        row["movieId"]: {"imdb_id": row["imdbId"] or None, "tmdb_id": row["tmdbId"] or None}
        for row in _rows(path, "movieId", "imdbId", "tmdbId")
    }


def _read_movielens(
    path: Path, links: Mapping[str, Mapping[str, str | None]], collector: Collector
) -> None:
    for row in _rows(path, "movieId", "title", "genres"):
        key, (title, year) = row["movieId"], title_and_year(row["title"].strip())
        genres = [g for g in row["genres"].split("|") if g and g != "(no genres listed)"]
        collector.node("Movie", key, title=title, year=year, genres=genres, **links.get(key, {}))
        _genres(collector, key, genres)


def _genres(collector: Collector, film: str, genres: list[str]) -> None:
    for genre in genres:
        collector.named("Genre", genre, genre)
        collector.edge("hasGenre", film, genre)


def _read_tmdb(path: Path, collector: Collector) -> None:
    for row in _rows(path, "id", "title", "overview", "genres"):
        key = row["id"] or ""
        if not key.isdigit():
            collector.complain(f"{path.name}: film left out: its id is not a number")
            continue
        genres = [str(found["name"]) for found in _listed(row, "genres", path, collector)]
        collection = _listed(row, "belongs_to_collection", path, collector)
        released = row.get("release_date") or None
        collector.node(
            "Movie",
            key,
            title=row["title"],
            year=year_of(released),
            overview=row["overview"],
            tagline=row.get("tagline") or None,
            genres=genres,
            released=released,
            language=row.get("original_language") or None,
            collection=collection[0].get("name") if collection else None,
            imdb_id=row.get("imdb_id") or None,
            tmdb_id=key,
            **{name: _number(row.get(name)) for name in _NUMBERS},
        )
        _genres(collector, key, genres)
        for column, (edge, table, named) in _LISTED.items():
            for found in _listed(row, column, path, collector):
                other = str(found.get(named) or found["name"])
                collector.named(table, other, str(found["name"]))
                collector.edge(edge, key, other)


def _read_credits(path: Path, collector: Collector) -> None:
    films = collector.keys("Movie")
    column = "id" if path.name == "credits.csv" else "movie_id"
    for row in _rows(path, column, "cast", "crew"):
        if row[column] not in films:
            collector.complain(f"{path.name}: credits left out: their film is missing")
            continue
        people = [("hasActor", person) for person in _listed(row, "cast", path, collector)]
        people += [
            (_JOBS[person["job"]], person)
            for person in _listed(row, "crew", path, collector)
            if person.get("job") in _JOBS
        ]
        for edge, person in people:
            collector.named("Person", str(person["id"]), str(person["name"]))
            collector.edge(edge, row[column], str(person["id"]))


def _listed(
    row: Mapping[str, str | None], column: str, path: Path, collector: Collector
) -> list[dict[str, Any]]:
    """Parse a cell with a list of objects, in JSON or Python syntax; return [] if it is neither."""
    cell = row.get(column) or ""
    if not cell.strip():
        return []
    try:
        found = json.loads(cell)
    except ValueError:
        try:
            found = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found = None
    objects = [found] if isinstance(found, dict) else found
    if not isinstance(objects, list):
        collector.complain(f"{path.name}: {column} is not a list; taken as empty")
        return []
    return [each for each in objects if isinstance(each, dict) and "name" in each]


def _number(cell: str | None) -> float | None:
    try:
        return float(cell) if cell else None
    except ValueError:
        return None


def _read_ratings(
    path: Path, numbers: Mapping[str, str | None] | None, collector: Collector
) -> pa.Table:
    """Read ratings, perhaps millions; ``numbers`` maps MovieLens's film numbers to films."""
    text = {"userId": pa.string(), "movieId": pa.string()}
    types = {**text, "rating": pa.float64(), "timestamp": pa.int64()}
    try:
        convert = pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types))
        rows = pyarrow.csv.read_csv(path, convert_options=convert)
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise InvalidInput(f"{path} cannot be read as ratings: {error}") from error
    films = rows["movieId"].to_pylist()
    if numbers is not None:
        films = [numbers.get(film) for film in films]
    known = [film is not None for film in films]
    if unknown := known.count(False):
        collector.complain(f"{path.name}: rating left out: its film is not in links.csv", unknown)
    for user in rows["userId"].unique().to_pylist():
        collector.named("User", user, None)
    columns = {
        SOURCE: rows["userId"],
        TARGET: pa.array(films, pa.string()),
        "rating": rows["rating"],
        "timestamp": rows["timestamp"],
    }
    return pa.table(columns).filter(pa.array(known))
