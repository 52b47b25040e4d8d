"""The bodies of the ``naiad movies`` commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.credits import search_filter
from naiad.applications.movies.current import Current
from naiad.applications.movies.embedding import MODEL, embed_films
from naiad.applications.movies.graph import ENCODER, VECTOR, movie_schema
from naiad.applications.movies.likeness import find, like
from naiad.applications.movies.likeness import question as in_words
from naiad.applications.movies.place import open_films, store_place
from naiad.applications.movies.search import search
from naiad.applications.movies.task import (
    Answer,
    MoviesRecommend,
    MoviesSearch,
    MoviesSimilar,
    print_films,
)
from naiad.applications.movies.tastes import learn
from naiad.applications.store import create_store, exists
from naiad.cli.connect import connected
from naiad.console import errors, output, progress_bar, say, say_notice, tell
from naiad.errors import InvalidInput
from naiad.files import suffix_of
from naiad.tasks.output import Output, check_places
from naiad.tasks.tables import check_suffix

_TIMEOUT = 60.0  # seconds per request

_TASKS = {"similar": MoviesSimilar, "search": MoviesSearch, "recommend": MoviesRecommend}


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a film store.

    Attributes:
        kind: the kind of question.
        subject: the title, the text or the user.
        k: number of films.
        place: the store, or None for the default one.
        url: the server to ask, or None to read the store here.
        output: file for the table.
        plot: file for the plot.
        force: overwrite output and plot.
        filters: the filters of a search, or the likeness of films.
    """

    kind: Literal["similar", "search", "recommend"]
    subject: str
    k: int
    place: str | None
    url: str | None
    output: Path | None
    plot: Path | None
    force: bool
    filters: Mapping[str, Any] = field(default_factory=dict[str, Any])


def load_store(source: Path | None, place: str | None, dimension: int, *, force: bool) -> None:
    """Fill a new store.

    Raises:
        InvalidInput: the source cannot be read, or a store exists already.
        StoreError: another process is writing to the store.
    """
    from naiad.applications.movies.reading import read_source

    where = place or store_place()
    if exists(where) and not force:
        raise InvalidInput(f"{where} is a graph store already; --force replaces it")
    with errors.status("reading"):
        tables = read_source(source)
    with (
        progress_bar("loading", tables.rows(), unit="rows") as advance,
        create_store(where, movie_schema(dimension)) as writer,
    ):
        done = 0
        for rows in tables.write(writer):
            done += rows
            advance(done)
    for complaint in tables.complaints:
        tell((complaint, "yellow"))
    counts = ", ".join(f"{rows.num_rows:,} {name}" for name, rows in tables.nodes.items())
    edges = sum(rows.num_rows for rows in tables.edges.values())
    say(f"loaded {counts} and {edges:,} edges into ", (where, "bold"))
    if edges and "rated" in tables.edges:
        learn_tastes(where)
    say_notice(tables.notice)
    say("next: naiad movies embed --local")


def learn_tastes(place: str | None) -> None:
    """Learn from the ratings in a store what its users like, for `recommend`.

    Raises:
        StoreError: the store is missing, incomplete or damaged.
    """
    where = place or store_place()
    with (
        open_films(where) as store,
        progress_bar("learning from the ratings", None, unit="steps") as advance,
    ):
        tastes = learn(where, store, advance).tastes
    if tastes is None:
        say("there are no ratings to learn from")
        return
    say(f"learned from the ratings of {len(tastes.films):,} films")
    if tastes.left_out:
        left_out = f"{tastes.left_out:,} more, which have the fewest ratings, are recommended by "
        tell((f"{left_out}graph and descriptions only", "yellow"))


def embed_store(place: str | None, url: str | None, concurrency: int) -> None:
    """Embed the films that have no embedding yet.

    Raises:
        Unavailable: no server answers at ``url``.
        StoreError: the store is missing or locked.
        EngineError: Triton cannot run here.
    """
    where = place or store_place()
    with (
        connected(MODEL, url, timeout=_TIMEOUT) as client,
        progress_bar("embedding", None, unit="films") as advance,
    ):
        try:
            done = embed_films(where, client, advance, concurrency=concurrency)
        except KeyboardInterrupt:
            errors.print("interrupted; embeddings so far are saved: run the same command to resume")
            raise
    say(f"embedded {done:,} films" if done else "all films have embeddings already")


def ask(question: Question) -> None:
    """Answer a question on the screen and in files.

    Raises:
        InvalidInput: the film, user or genre does not exist.
        StoreError: the store is missing, incomplete or damaged.
        Unavailable: no server answers.
    """
    task = _TASKS[question.kind]()
    places = [path for path in (question.output, question.plot) if path is not None]
    check_places(dict.fromkeys(places), [], force=question.force)
    if question.output is not None:
        check_suffix(task, suffix_of(question.output))
    if question.plot is not None:
        import_module("naiad.applications.movies.picture")  # fail early if a package is missing
    answer = _from_store(question) if question.url is None else _from_server(question)
    print_films(answer)
    say_notice(answer.notice)
    if question.output is not None:
        with Output(task, question.output, {"notice": answer.notice}, task.Options()) as table:
            table.add(question.subject, question.subject, answer)
        say("wrote ", (str(question.output), "bold"))
    if question.plot is not None:
        from naiad.applications.movies.picture import draw

        draw(answer, answer.about, question.plot)
        say("wrote ", (str(question.plot), "bold"))


def _from_server(question: Question) -> Answer:
    name = _TASKS[question.kind].name
    with connected(name, question.url, timeout=_TIMEOUT) as client:
        return getattr(client, name).infer(question.subject, k=question.k, **question.filters)


def _from_store(question: Question) -> Answer:
    with open_films(question.place or store_place()) as store:
        catalogue = Catalogue(store)
        if question.kind == "similar":
            by = question.filters["by"]
            film = find(catalogue, question.subject, by)
            picks = like(catalogue, film, question.k, by)
            return Answer(picks, in_words(catalogue, film, by), catalogue.notice)
        if question.kind == "recommend":
            now = Current(catalogue, question.place or store_place())
            picks = now.recommender().recommend(question.subject, question.k)
            notice = " ".join(filter(None, (catalogue.notice, now.notice)))
            return Answer(picks, f"for user {question.subject}", notice)
        return _searched(catalogue, question)


def _searched(catalogue: Catalogue, question: Question) -> Answer:
    from naiad.applications.text.embedding.encoder import Encoder
    from naiad.applications.text.embedding.importing import served_folder

    encoder = Encoder(served_folder(None))
    catalogue.check_search(question.subject, question.filters["genre"], encoder.card.name)
    (vector,) = encoder.encode([question.subject])
    where = search_filter(catalogue, **question.filters)
    picks = search(catalogue, question.subject, vector, question.k, where)
    return Answer(picks, f"for {question.subject!r}", catalogue.notice)


def show_store(place: str | None) -> None:
    """Print the contents of a store.

    Raises:
        StoreError: the store is missing, incomplete or damaged.
    """
    from rich.table import Table

    with open_films(place or store_place()) as store:
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column(justify="right")
        for node in store.schema.nodes:
            if node.name != "About":
                table.add_row(node.name, f"{store.count(node.name):,}")
        films = store.count("Movie")
        embedded = films - len(store.missing("Movie", VECTOR))
        about = {row["id"]: row["text"] for row in store.find("About")}
        table.add_row("embedded", f"{embedded:,} of {films:,}")
        output.print(table)
        say(f"from {about.get('source') or ''}")
        if ENCODER in about:
            say(f"embedded by {about[ENCODER] or ''}")
        say_notice(about.get("notice") or "")
