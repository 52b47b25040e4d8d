"""``naiad movies``, as far as it needs no server; that is in tests/e2e/test_movies.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from naiad.applications.movies.task import MoviesRecommend, MoviesSearch, MoviesSimilar
from naiad.cli.main import app
from naiad.errors import InvalidInput, NaiadError, StoreError


def run(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("films") / "store"
    result = run("movies", "load", "--store", place)
    assert result.exit_code == 0, result.output
    return place


def test_a_store_is_replaced_only_if_that_was_asked_for(place: Path) -> None:
    again = run("movies", "load", "--store", place)
    assert isinstance(again.exception, InvalidInput)
    assert "--force replaces it" in str(again.exception)


def test_ratings_are_learned_from_when_loaded_and_on_request(place: Path) -> None:
    tastes = place / "tastes.npz"
    assert tastes.is_file()
    tastes.unlink()
    result = run("movies", "learn", "--store", place)
    assert result.exit_code == 0, result.output
    assert "learned from the ratings of 19" in result.output
    assert tastes.is_file()


def test_recommendations_need_no_embeddings_and_can_be_drawn(place: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picks.png"
    command = ["movies", "recommend", "--user", 7, "-k", 3, "--store", place, "--plot", picture]
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "like the same films" in " ".join(result.output.split())
    with Image.open(picture) as drawn:
        assert drawn.width > 1000
    again = run(*command)
    assert isinstance(again.exception, NaiadError)
    assert "--force overwrites it" in str(again.exception)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("search", "x"), InvalidInput, "no film has an embedding yet; run `naiad movies embed`"),
        (("search", "x", "--genre", "Foo"), InvalidInput, "no genre 'Foo'; choose from Adventure"),
        (("search", " "), InvalidInput, "text is empty"),
        (("similar", "The Mon Job"), InvalidInput, "did you mean: The Moon Job (2044)"),
        (("similar", "The Moon Job", "--by", "description"), InvalidInput, "no embedding yet"),
        (("recommend", "--user", "x"), InvalidInput, "no user 'x'; there are 60"),
    ],
)
def test_what_cannot_be_answered_is_said(place: Path, arguments, kind, message: str) -> None:
    result = run("movies", *arguments, "--store", place)
    assert isinstance(result.exception, kind)
    assert message in str(result.exception)


def test_without_a_store_it_is_said_how_to_make_one(tmp_path: Path) -> None:
    result = run("movies", "info", "--store", tmp_path / "none")
    assert isinstance(result.exception, StoreError)
    assert "`naiad movies load` creates one of films" in str(result.exception)


def test_without_a_server_it_is_said_how_to_start_one(place: Path) -> None:
    result = run("movies", "embed", "--store", place, "--url", "localhost:1")
    assert "naiad serve text_embedding" in str(result.exception)
    result = run("movies", "recommend", "--user", 1, "--url", "localhost:1")
    assert "naiad serve movies_recommend" in str(result.exception)


def test_lines_of_a_file_are_requests(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("one\n\ntwo\n")
    for task in (MoviesSimilar, MoviesSearch, MoviesRecommend):
        found = task.requests_in(path)
        assert found is not None
        assert [request[task.subject].tolist() for request in found] == [[b"one"], [b"two"]]
