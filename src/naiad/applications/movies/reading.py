"""Film graphs in the formats they come in."""

from __future__ import annotations

from pathlib import Path

from naiad.applications.movies.graph import MovieTables
from naiad.errors import InvalidInput


def read_source(source: Path | None) -> MovieTables:
    """Read the graph in a folder, or Naiad's sample.

    The folder has Parquet files, the CSV files of MovieLens or TMDB, or an ArangoDB dump; the file
    names tell which.

    Raises:
        InvalidInput: the folder has none of these, or a file is damaged.
    """
    from naiad.applications.movies.cleaning import clean

    if source is None:
        from naiad.applications.movies.sample import sample_tables

        return clean(sample_tables())
    if not source.is_dir():
        raise InvalidInput(f"{source} is not a folder")
    from naiad.applications.movies import layout, parquet, tabular

    if any((source / name).is_file() for name in parquet.FILES):
        return clean(parquet.read_parquet(source))
    if any((source / name).is_file() for name in tabular.FILES):
        return clean(tabular.read_tables(source))
    if layout.is_dump(source):
        from naiad.applications.movies.dump import read_dump

        return clean(read_dump(source))
    within = sorted(path for path in source.iterdir() if path.is_dir() and layout.is_dump(path))
    raise InvalidInput(
        f"{source} has no film graph: it needs {parquet.FILES[0]}, {', '.join(tabular.FILMS)} or "
        f"{layout.STRUCTURES}" + (f"; did you mean {within[0]}?" if within else "")
    )
