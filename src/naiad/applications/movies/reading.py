"""Graphs of films from where people have them."""

from __future__ import annotations

from pathlib import Path

from naiad.applications.movies.graph import MovieTables, check_films
from naiad.errors import InvalidInput


def read_source(source: Path | None) -> MovieTables:
    """The graph in a folder, or the sample that comes with Naiad.

    The folder has parquet files, CSV files as MovieLens and TMDB have them, or a dump of ArangoDB;
    which of those is seen from its files.

    Raises:
        InvalidInput: it has none of those, or a file is not as it should be.
    """
    if source is None:
        from naiad.applications.movies.sample import sample_tables

        return check_films(sample_tables())
    if not source.is_dir():
        raise InvalidInput(f"{source} is no folder")
    if (source / "movies.parquet").is_file():
        from naiad.applications.movies.parquet import read_parquet

        return check_films(read_parquet(source))
    from naiad.applications.movies import dump, tabular

    if any((source / name).is_file() for name in tabular.FILMS):
        return check_films(tabular.read_tables(source))
    if any(source.glob(dump.STRUCTURES)):
        return check_films(dump.read_dump(source))
    raise InvalidInput(
        f"{source} has no graph of films that can be read: neither movies.parquet, nor "
        f"{' or '.join(tabular.FILMS)}, nor {dump.STRUCTURES}"
    )
