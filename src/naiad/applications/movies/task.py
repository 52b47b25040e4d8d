"""The film tasks: a title, a text or a user in, films and reasons out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from rich.text import Text

from naiad.applications.movies.kinds import HELP, Likeness
from naiad.applications.movies.picks import Pick, from_arrays
from naiad.console import bar, output, print_columns
from naiad.core.schema import Array, Arrays
from naiad.errors import InvalidInput
from naiad.tasks.notebook import Shown
from naiad.tasks.task import Column, Draws, Found, Parses, Reports, Task
from naiad.tasks.views import Suggests

if TYPE_CHECKING:
    from naiad.client import Client

_BAR: Final = 16  # characters of a score of 1
_SUGGESTIONS: Final = 8
_K: Final = {"short": ("-k",), "min": 1, "max": 100, "help": "Number of films."}


class Answer(list[Pick], Shown):
    """The films of an answer, the best first.

    Attributes:
        about: the question, in words.
        notice: a notice to users of the films, or "".
    """

    def __init__(self, picks: Sequence[Pick], about: str, notice: str) -> None:
        super().__init__(picks)
        self.about = about
        self.notice = notice


@dataclass(frozen=True)
class FilmOptions:
    """Options of a question."""

    k: int = field(default=10, metadata=_K)


@dataclass(frozen=True)
class SimilarOptions(FilmOptions):
    """Options of films like a film."""

    by: Likeness = field(default="all", metadata={"help": HELP})


@dataclass(frozen=True)
class SearchOptions(FilmOptions):
    """Options of a search."""

    genre: str = field(default="", metadata={"help": "Only films of this genre."})
    first_year: int = field(default=0, metadata={"help": "Only films from this year on."})
    last_year: int = field(default=0, metadata={"help": "Only films up to this year."})
    director: str = field(default="", metadata={"help": "Only films of this director."})
    actor: str = field(default="", metadata={"help": "Only films with this actor."})


class _Films(Task[str, Answer], Parses[str], Reports, Draws):
    """The common base of the film tasks; ``subject`` is the name of their input."""

    subject: ClassVar[str]
    packages = ("ladybug", "rapidfuzz")
    on_request = True

    columns = (
        Column("rank", "int32", "rank among the picks, from 1"),
        Column("id", doc="key of the film"),
        Column("title", doc="of the film"),
        Column("year", "int32", "empty if unknown"),
        Column("score", "float32", "higher is better"),
        Column("people", doc="people that the films share, joined by `; `"),
        Column("genres", doc="genres that the films share"),
        Column("liked", doc="the films that the user likes that speak for it most"),
        Column("users", "int32", "number of users who like it and a film that the user likes"),
    )
    most = 1

    Options: ClassVar[type[Any]] = FilmOptions

    def parse(self, text: str) -> str:
        """Return the text; the server refuses unknown films and users."""
        return text

    def coerce(self, unit: Any, options: Any) -> str:
        """Return the one text that was given."""
        if not isinstance(unit, str):
            raise InvalidInput(f"{self.subject} is {type(unit).__name__}; give one string")
        return unit

    def request(self, unit: str, options: Any) -> Arrays:
        """Return the question and its options."""
        given = {name: getattr(options, name) for name in type(options).__dataclass_fields__}
        return {name: _tensor(value) for name, value in ({self.subject: unit} | given).items()}

    def answer(self, unit: str, outputs: Arrays, card: Any) -> Answer:
        """Return the films of an answer."""
        about, notice = (outputs[name][0].decode() for name in ("about", "notice"))
        return Answer(from_arrays(outputs), about, notice)

    def rows(self, result: Answer) -> Iterator[Sequence[object]]:
        """Yield a row for each film."""
        for rank, pick in enumerate(result, start=1):
            why = pick.why
            lists = ("; ".join(names) for names in (why.people, why.genres, why.liked))
            yield rank, pick.id, pick.title, pick.year or None, pick.score, *lists, why.users

    def report(self, count: int, card: Any, options: Any) -> FilmsReport:
        """Return a report with a bar for each score, and the reasons."""
        return FilmsReport()

    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        """Draw the films of an answer and their links."""
        from naiad.applications.movies.picture import draw

        for one in found:
            draw(one.result, one.result.about, path)


class MoviesSimilar(_Films, Suggests):
    """Find films like a film: by all that is known, or by one kind of likeness.

    Name a film by title, title and year, or id.

    [bold]Examples[/]

      naiad infer movies_similar "The Moon Job" -k 5
      naiad infer movies_similar "The Moon Job" --by cast
      naiad infer movies_similar "Solaris (1972)" -o films.csv
    """

    name = "movies_similar"
    summary = "films like a given film, from a graph store on the server"
    pipeline = "naiad.applications.movies.pipeline:MoviesSimilar"
    demos = {"movies": "naiad.applications.movies.demo:run"}
    unit, argument, subject, example = "films", "FILM", "movie", '"The Moon Job"'

    Options = SimilarOptions

    def suggest(self, client: Client, model: str, text: str) -> Sequence[str]:
        """Return the titles and years of films whose title continues or resembles a text."""
        found = self.client_of(client.model(model)).infer(text, k=_SUGGESTIONS, by="title")
        return list(dict.fromkeys(pick.name for pick in found))


class MoviesSearch(_Films):
    """Find films that fit a description, by meaning, words and fame.

    [bold]Examples[/]

      naiad infer movies_search "a heist in space"
      naiad infer movies_search "a lonely lighthouse keeper" --genre Drama --first-year 1960
    """

    name = "movies_search"
    summary = "films that fit a description in words"
    pipeline = "naiad.applications.movies.pipeline:MoviesSearch"
    packages = ("ladybug", "rapidfuzz", "bm25s", "tokenizers", "onnxruntime")
    unit, argument, subject, example = "descriptions", "TEXT", "text", '"a heist in space"'

    Options = SearchOptions


class MoviesRecommend(_Films):
    """Recommend films that a user has not rated and may like, and say why.

    Ranks by what was learned from all ratings, by shared people, and by descriptions.

    [bold]Examples[/]

      naiad infer movies_recommend 42
      naiad infer movies_recommend 42 -k 20 -o picks.csv --plot picks.png
    """

    name = "movies_recommend"
    summary = "films for a user, by ratings, graph and descriptions, with reasons"
    pipeline = "naiad.applications.movies.pipeline:MoviesRecommend"
    unit, argument, subject, example = "users", "USER", "user", "42"


class FilmsReport:
    """Films with a bar for each score, and why each was picked."""

    def __init__(self) -> None:
        """Begin without answers."""
        self._answers: list[Answer] = []

    def add(self, found: Found) -> None:
        """Take one more answer."""
        self._answers.append(found.result)

    def print(self, seconds: float) -> None:
        """Print all answers."""
        for answer in self._answers:
            print_films(answer)


def print_films(answer: Answer) -> None:
    """Print the films of one answer."""
    output.print(Text(answer.about, "bold"), soft_wrap=True)
    if not answer:
        output.print("no films found")
        return
    rows: list[list[Text | str]] = []
    for rank, pick in enumerate(answer, start=1):
        style = "bold green" if rank == 1 else ""
        rows.append(
            [
                str(rank),
                Text(pick.name, style),
                Text(f"{bar(min(max(pick.score, 0.0), 1.0), _BAR):{_BAR}}", style or "dim"),
                f"{pick.score:.3f}",
                Text(str(pick.why), "dim"),
            ]
        )
    print_columns(rows)


def _tensor(value: str | int) -> Array:
    if isinstance(value, str):
        return np.array([value.encode("utf-8", "surrogateescape")], object)
    return np.array([value], np.int32)
