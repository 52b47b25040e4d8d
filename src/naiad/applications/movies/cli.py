"""Movies on the command line: ``naiad movies load|embed|similar|search|recommend|info``.

Imported by ``naiad --help``: heavy modules are imported inside the functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.options import Force, Local

commands = typer.Typer(
    name="movies",
    help="A graph of films: load it, embed it, and ask it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Place = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PLACE",
        help="The store: a folder, or the URL of an ArangoDB. By default $NAIAD_MOVIES, else a "
        "folder of your data.",
    ),
]
_K = Annotated[int, typer.Option("-k", min=1, max=100, help="How many films.")]
_Url = Annotated[
    str | None,
    typer.Option(
        help="Ask this server, host:port, which reads its own store; by default the store is read "
        "here."
    ),
]
_Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write a row per film: .csv, .parquet."),
]
_Plot = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw the films and what links them, as PNG.")
]


@commands.command()
def load(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A folder of parquet or CSV files, or of a dump of ArangoDB; without it the "
            "sample that comes with Naiad, which is invented.",
            show_default=False,
        ),
    ] = None,
    place: _Place = None,
    dimension: Annotated[
        int, typer.Option(min=1, help="Length of the embeddings that there is to be room for.")
    ] = 384,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the store that is there.")
    ] = False,
) -> None:
    """Make a graph store of films.

    The folder may have [bold]movies.parquet, nodes.parquet, edges.parquet, ratings.parquet[/]; or
    CSV files as MovieLens (movies.csv, ratings.csv, links.csv) and TMDB
    (movies_metadata.csv, credits.csv) have them; or what arangodump writes.

    [bold]Examples[/]

      naiad movies load
      naiad movies load ml-latest-small/ --store films/
      naiad movies load dump/ --force
    """
    from naiad.applications.movies.commands import load_store

    load_store(source, place, dimension, force=force)


@commands.command()
def embed(
    place: _Place = None,
    url: Annotated[
        str, typer.Option(help="A server with the model text_embedding, host:port.")
    ] = "localhost:8001",
    local: Local = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests with the server at once.")] = 4,
) -> None:
    """Embed the descriptions of all films that have no embedding yet, by the served model.

    It may be interrupted; run again, it goes on. Others may query meanwhile.

    [bold]Examples[/]

      naiad serve text_embedding
      naiad movies embed
      naiad movies embed --local --store films/
    """
    from naiad.applications.movies.commands import embed_store

    embed_store(place, None if local else url, concurrency)


@commands.command()
def similar(
    title: Annotated[str, typer.Argument(help="Title, 'title (year)' or id.", show_default=False)],
    k: _K = 10,
    place: _Place = None,
    url: _Url = None,
    output: _Output = None,
    plot: _Plot = None,
    force: Force = False,
) -> None:
    """Films whose descriptions are most like that of a film.

    [bold]Examples[/]

      naiad movies similar "The Moon Job" -k 5
      naiad movies similar "Solaris (1972)" --url localhost:8001
    """
    from naiad.applications.movies.commands import Question, ask

    ask(Question("similar", title, k, place, url, output, plot, force))


@commands.command()
def search(
    text: Annotated[str, typer.Argument(help="What it is about.", show_default=False)],
    k: _K = 10,
    genre: Annotated[str, typer.Option(help="Only films of this genre.")] = "",
    first_year: Annotated[int, typer.Option("--from", help="Only films from this year on.")] = 0,
    last_year: Annotated[int, typer.Option("--to", help="Only films until this year.")] = 0,
    place: _Place = None,
    url: _Url = None,
    output: _Output = None,
    plot: _Plot = None,
    force: Force = False,
) -> None:
    """Films whose descriptions fit some words.

    [bold]Examples[/]

      naiad movies search "a heist in space"
      naiad movies search "a lonely lighthouse keeper" --genre Drama --from 1960 --to 2000
    """
    from naiad.applications.movies.commands import Question, ask

    filters = {"genre": genre, "first_year": first_year, "last_year": last_year}
    ask(Question("search", text, k, place, url, output, plot, force, filters))


@commands.command()
def recommend(
    user: Annotated[str, typer.Option(help="The user's id.", show_default=False)],
    k: _K = 10,
    place: _Place = None,
    url: _Url = None,
    output: _Output = None,
    plot: _Plot = None,
    force: Force = False,
) -> None:
    """Films that a user has not rated and may like, and why.

    By what users of like taste like, by people that films share, and by descriptions.

    [bold]Examples[/]

      naiad movies recommend --user 42
      naiad movies recommend --user 42 -k 20 -o picks.csv --plot picks.png
    """
    from naiad.applications.movies.commands import Question, ask

    ask(Question("recommend", user, k, place, url, output, plot, force))


@commands.command()
def info(place: _Place = None) -> None:
    """What is in the store.

    [bold]Example[/]

      naiad movies info
    """
    from naiad.applications.movies.commands import show_store

    show_store(place)
