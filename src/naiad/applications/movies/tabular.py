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

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv

from naiad.applications.movies import columns
from naiad.applications.movies.collecting import Collector
from naiad.applications.movies.graph import MovieTables, year_of
from naiad.applications.movies.vocabulary import listed_in, title_and_year
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
_MORE = ""  # the name of cells beyond those of the header


def read_tables(folder: Path) -> MovieTables:
    """Read the graph in a folder of CSV files.

    Raises:
        InvalidInput: a file cannot be read, or lacks a column.
    """
    collector = Collector()
    films = _first(folder, FILMS)
    if films is None:
        raise InvalidInput(f"{folder} lacks its films: {', '.join(FILMS[:-1])} or {FILMS[-1]}")
    links = _read_links(folder, collector)
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


def _rows(path: Path, collector: Collector, *columns: str) -> Iterator[dict[str, str]]:
    """Yield rows; those that have more cells than the header are left out, and missing ones are "".

    A comma in a cell that is not quoted makes two cells of one.
    """
    csv.field_size_limit(_CELL_BYTES)  # casts are long
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, restkey=_MORE, restval="")
            for column in columns:
                if column not in (rows.fieldnames or ()):
                    there = ", ".join(rows.fieldnames or ())
                    raise InvalidInput(f"{path} has no column {column!r}; it has {there}")
            for row in rows:
                if _MORE in row:
                    collector.complain(f"{path.name}: row left out: more cells than the header has")
                else:
                    yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read as CSV: {error}") from error


def _read_links(folder: Path, collector: Collector) -> dict[str, dict[str, str | None]]:
    path = folder / "links.csv"
    if not path.is_file():
        return {}
    return {
        row["movieId"]: {"imdb_id": row["imdbId"] or None, "tmdb_id": row["tmdbId"] or None}
        for row in _rows(path, collector, "movieId", "imdbId", "tmdbId")
    }


def _read_movielens(
    path: Path, links: Mapping[str, Mapping[str, str | None]], collector: Collector
) -> None:
    for row in _rows(path, collector, "movieId", "title", "genres"):
        key, (title, year) = row["movieId"], title_and_year(row["title"])
        genres = [g for g in row["genres"].split("|") if g and g != "(no genres listed)"]
        collector.node("Movie", key, title=title, year=year, genres=genres, **links.get(key, {}))
        _genres(collector, key, genres)


def _genres(collector: Collector, film: str, genres: list[str]) -> None:
    for genre in genres:
        collector.named("Genre", genre, genre)
        collector.edge("hasGenre", film, genre)


def _read_tmdb(path: Path, collector: Collector) -> None:
    for row in _rows(path, collector, "id", "title", "overview", "genres"):
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
    for row in _rows(path, collector, column, "cast", "crew"):
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
    found = listed_in(cell)
    objects = [found] if isinstance(found, dict) else found
    if not isinstance(objects, list) or not all(isinstance(each, dict) for each in objects):
        collector.complain(f"{path.name}: {column} is not a list; taken as empty")
        return []
    return [each for each in objects if "name" in each]


def _number(cell: str | None) -> float | None:
    try:
        return float(cell) if cell else None
    except ValueError:
        return None


def _read_ratings(
    path: Path, numbers: Mapping[str, str | None] | None, collector: Collector
) -> pa.Table:
    """Read ratings, perhaps millions; ``numbers`` maps MovieLens's film numbers to films."""
    try:
        rows = _rating_cells(path, pa.float64(), pa.int64())
    except pa.ArrowInvalid:  # some are not numbers
        try:
            rows = _rating_cells(path, pa.string(), pa.string())
        except pa.ArrowInvalid as error:
            raise InvalidInput(f"{path} cannot be read as ratings: {error}") from error
    films = rows["movieId"].to_pylist()
    if numbers is not None:
        films = [numbers.get(film) for film in films]
    known = [film is not None for film in films]
    if unknown := known.count(False):
        collector.complain(f"{path.name}: rating left out: its film is not in links.csv", unknown)
    for user in rows["userId"].unique().to_pylist():
        collector.named("User", user, None)
    rated = columns.ratings(rows["userId"], pa.array(films, pa.string()), rows)
    return rated.filter(pa.array(known))


def _rating_cells(path: Path, rating: pa.DataType, timestamp: pa.DataType) -> pa.Table:
    """Read the cells of ratings as these types.

    Raises:
        InvalidInput: the file cannot be read, or lacks a column.
        ArrowInvalid: a cell is of another type, or a row has more or fewer cells than the header.
    """
    keys = {"userId": pa.string(), "movieId": pa.string()}
    types = {**keys, "rating": rating, "timestamp": timestamp}
    try:
        convert = pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types))
        return pyarrow.csv.read_csv(path, convert_options=convert)
    except (OSError, KeyError) as error:
        raise InvalidInput(f"{path} cannot be read as ratings: {error}") from error
