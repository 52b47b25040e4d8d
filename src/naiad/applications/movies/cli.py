"""Movies on the command line: ``naiad movies load|learn|embed|similar|search|recommend|info``.

Imported by ``naiad --help``: heavy modules are imported inside the functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from naiad.applications.movies.kinds import HELP, Likeness
from naiad.cli.options import Force, Local

commands = typer.Typer(
    name="movies",
    help="Load, embed and query a graph of films.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Place = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PLACE",
        help="Store: a folder, or the URL of an ArangoDB database. Default: $NAIAD_MOVIES, else "
        "~/.local/share/naiad/movies.",
    ),
]
_K = Annotated[int, typer.Option("-k", min=1, max=100, help="Number of films.")]
_Url = Annotated[
    str | None,
    typer.Option(
        help="Ask the server at host:port, which reads its own store. By default, read the store "
        "here."
    ),
]
_Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write one row per film: .csv or .parquet."
    ),
]
_Plot = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw the films and their links, as PNG.")
]


@commands.command()
def load(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of Parquet files, CSV files or an ArangoDB dump. Default: Naiad's sample, "
            "which is invented.",
            show_default=False,
        ),
    ] = None,
    place: _Place = None,
    dimension: Annotated[
        int, typer.Option(min=1, help="Length of the embeddings to be stored.")
    ] = 384,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing store.")] = False,
) -> None:
    """Load films into a new graph store.

    The folder may contain [bold]movies.parquet, nodes.parquet, edges.parquet, ratings.parquet[/];
    the CSV files of MovieLens (movies.csv, ratings.csv, links.csv) or TMDB (movies_metadata.csv,
    credits.csv); or a dump of ArangoDB (*.structure.json, *.data.json, *.data.json.gz).

    [bold]Examples[/]

      naiad movies load
      naiad movies load ml-latest-small/ --store films/
      naiad movies load dump/ --force
    """
    from naiad.applications.movies.commands import load_store

    load_store(source, place, dimension, force=force)


@commands.command()
def learn(place: _Place = None) -> None:
    """Learn from the ratings what users like, for `recommend`.

    `load` does so too; repeat it when many ratings have been added. Small graphs, of up to 2,048
    users or rated films, are learned again by themselves.

    [bold]Example[/]

      naiad movies learn
    """
    from naiad.applications.movies.commands import learn_tastes

    learn_tastes(place)


@commands.command()
def embed(
    place: _Place = None,
    url: Annotated[
        str, typer.Option(help="Server with the model text_embedding, host:port.")
    ] = "localhost:8001",
    local: Local = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Number of concurrent requests.")] = 4,
) -> None:
    """Embed the descriptions of films that have no embedding yet, with the served model.

    To resume after an interruption, run the command again. The store can be queried at any time.

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
    by: Annotated[Likeness, typer.Option(help=HELP)] = "all",
    place: _Place = None,
    url: _Url = None,
    output: _Output = None,
    plot: _Plot = None,
    force: Force = False,
) -> None:
    """Find films like a film: by all that is known, or by one kind of likeness.

    An id comes before a title. By ratings, they are the films liked by the users who like the film.

    [bold]Examples[/]

      naiad movies similar "The Moon Job" -k 5
      naiad movies similar "The Moon Job" --by ratings
      naiad movies similar "Solaris (1972)" --url localhost:8001
    """
    from naiad.applications.movies.commands import Question, ask

    ask(Question("similar", title, k, place, url, output, plot, force, {"by": by}))


@commands.command()
def search(
    text: Annotated[str, typer.Argument(help="Description of the film.", show_default=False)],
    k: _K = 10,
    genre: Annotated[str, typer.Option(help="Only films of this genre.")] = "",
    first_year: Annotated[int, typer.Option("--from", help="Only films from this year on.")] = 0,
    last_year: Annotated[int, typer.Option("--to", help="Only films up to this year.")] = 0,
    director: Annotated[str, typer.Option(help="Only films of this director.")] = "",
    actor: Annotated[str, typer.Option(help="Only films with this actor.")] = "",
    place: _Place = None,
    url: _Url = None,
    output: _Output = None,
    plot: _Plot = None,
    force: Force = False,
) -> None:
    """Find films that fit a description, by meaning, words and fame.

    [bold]Examples[/]

      naiad movies search "a heist in space"
      naiad movies search "a lonely lighthouse keeper" --genre Drama --from 1960 --to 2000
      naiad movies search "a heist in space" --director "Olga Jarrow" --actor "Ada Orsino"
    """
    from naiad.applications.movies.commands import Question, ask

    filters = {
        "genre": genre,
        "first_year": first_year,
        "last_year": last_year,
        "director": director,
        "actor": actor,
    }
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
    """Recommend films that a user has not rated and may like, and say why.

    Ranks by what was learned from all ratings, by shared people, and by descriptions.

    [bold]Examples[/]

      naiad movies recommend --user 42
      naiad movies recommend --user 42 -k 20 -o picks.csv --plot picks.png
    """
    from naiad.applications.movies.commands import Question, ask

    ask(Question("recommend", user, k, place, url, output, plot, force))


@commands.command()
def info(place: _Place = None) -> None:
    """Show the contents of the store.

    [bold]Example[/]

      naiad movies info
    """
    from naiad.applications.movies.commands import show_store

    show_store(place)
