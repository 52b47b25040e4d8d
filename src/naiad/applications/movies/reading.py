"""Film graphs in the formats they come in."""

from __future__ import annotations

from pathlib import Path

from naiad.applications.movies.graph import MovieTables, check_films
from naiad.errors import InvalidInput


def read_source(source: Path | None) -> MovieTables:
    """Read the graph in a folder, or Naiad's sample.

    The folder has Parquet files, the CSV files of MovieLens or TMDB, or an ArangoDB dump; the file
    names tell which.

    Raises:
        InvalidInput: the folder has none of these, or a file is damaged.
    """
    if source is None:
        from naiad.applications.movies.sample import sample_tables

        return check_films(sample_tables())
    if not source.is_dir():
        raise InvalidInput(f"{source} is not a folder")
    if (source / "movies.parquet").is_file():
        from naiad.applications.movies.parquet import read_parquet

        return check_films(read_parquet(source))
    from naiad.applications.movies import dump, tabular

    if any((source / name).is_file() for name in tabular.FILMS):
        return check_films(tabular.read_tables(source))
    if any(source.glob(dump.STRUCTURES)):
        return check_films(dump.read_dump(source))
    raise InvalidInput(
        f"{source} has no film graph: it needs movies.parquet, {', '.join(tabular.FILMS)} or "
        f"{dump.STRUCTURES}"
    )
