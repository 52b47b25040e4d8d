"""Films for people: a title, a text or a user in, films and reasons out."""

from __future__ import annotations

from typing import Any

from naiad.applications.movies.picks import Pick, from_arrays
from naiad.client import ModelClient


class Answer(list[Pick]):
    """The films of an answer, the best first.

    Attributes:
        about: what they are for, in words.
        notice: what everybody must know who uses them, or "".
    """

    def __init__(self, picks: list[Pick], about: str, notice: str) -> None:
        super().__init__(picks)
        self.about = about
        self.notice = notice


class MovieClient:
    """Asks a served model of films."""

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model

    def __repr__(self) -> str:
        """The class and the server."""
        return f"{type(self).__name__}({self.model!r})"

    def _ask(self, k: int, timeout: float | None, **inputs: Any) -> Answer:
        given = {name: [value] for name, value in inputs.items()}
        arrays = self.model.infer(given | {"k": [k]}, timeout=timeout)
        return Answer(
            from_arrays(arrays), arrays["about"][0].decode(), arrays["notice"][0].decode()
        )


class SimilarClient(MovieClient):
    """Asks a served ``movies_similar``; from ``client.movies_similar``.

    Example::

        for film in client.movies_similar.infer("The Moon Job", k=5):
            print(film.name, film.score, film.why)
    """

    def infer(self, movie: str, *, k: int = 10, timeout: float | None = None) -> Answer:
        """The films most like ``movie``: a title, a title and year, or an id.

        Raises:
            InvalidInput: there is no such film; says which titles are close.
            Unavailable: the server has no store of films.
            NaiadError: as of `naiad.Client`.
        """
        return self._ask(k, timeout, movie=movie)


class SearchClient(MovieClient):
    """Asks a served ``movies_search``; from ``client.movies_search``.

    Example::

        for film in client.movies_search.infer("a heist in space", genre="Comedy"):
            print(film.name, film.score)
    """

    def infer(
        self,
        text: str,
        *,
        k: int = 10,
        genre: str = "",
        first_year: int = 0,
        last_year: int = 0,
        timeout: float | None = None,
    ) -> Answer:
        """The films that fit a text best, of a genre and of some years if that is wanted.

        Raises:
            InvalidInput: the text is empty or too long, or there is no such genre.
            Unavailable: the server has no store of films.
            NaiadError: as of `naiad.Client`.
        """
        return self._ask(
            k, timeout, text=text, genre=genre, first_year=first_year, last_year=last_year
        )


class RecommendClient(MovieClient):
    """Asks a served ``movies_recommend``; from ``client.movies_recommend``.

    Example::

        for film in client.movies_recommend.infer("42"):
            print(film.name, "-", film.why)
    """

    def infer(self, user: str, *, k: int = 10, timeout: float | None = None) -> Answer:
        """The films that a user may like and has not rated.

        Raises:
            InvalidInput: there is no such user, or they have rated nothing.
            Unavailable: the server has no store of films.
            NaiadError: as of `naiad.Client`.
        """
        return self._ask(k, timeout, user=user)
