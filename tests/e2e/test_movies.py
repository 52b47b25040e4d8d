"""Films through the real Triton: embedded by the served model, and queried."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import naiad
from naiad import testing
from naiad.applications.movies.embedding import embed_films
from naiad.applications.movies.graph import movie_schema
from naiad.applications.store import create_store, open_store, write_store
from naiad.cli.main import app
from naiad.errors import StoreError
from naiad.triton.server import Server

MODELS = ("text_embedding", "movies_similar", "movies_search", "movies_recommend")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the path of the server's store, which does not exist at first."""
    place = tmp_path_factory.mktemp("films") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAIAD_MOVIES", str(place))
        yield place


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    with testing.serve(*MODELS, instances=1) as server:
        yield server


@pytest.fixture(scope="module")
def missing(server: Server) -> str:
    """Return the server's answer before there is a store."""
    with pytest.raises(naiad.Unavailable) as caught:
        naiad.Client(server.grpc_url, retries=0).movies_similar.infer("The Moon Job")
    return str(caught.value)


@pytest.fixture(scope="module")
def loaded(missing: str, place: Path) -> Path:
    """Load the sample, without embeddings."""
    result = run("movies", "load")
    assert result.exit_code == 0, result.output
    assert "191 Movie" in result.output
    assert "is invented" in result.output
    return place


@pytest.fixture(scope="module")
def seen(server: Server, loaded: Path) -> list[int]:
    """Embed; return numbers of films found by another process and the server in the meantime."""
    code = """
        import sys, numpy as np
        from naiad.applications.store import open_store
        with open_store(sys.argv[1], threads=1) as store:
            while (left := len(store.missing("Movie", "embedding"))):
                print(191 - left, flush=True)
                while not store.refresh(): pass
                hits = store.nearest("Movie", "embedding", np.ones(384, np.float32), 200)
                assert len(hits) == 191 - len(store.missing("Movie", "embedding"))
            print(191, flush=True)
    """
    reader = subprocess.Popen(
        [sys.executable, "-c", "\n".join(line[8:] for line in code.splitlines()), str(loaded)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader, server.client() as client:
        assert reader.stdout is not None
        seen = [int(reader.stdout.readline())]
        answered: list[int] = []
        title = "The Vault Above Ceres"

        def advance(done: int, total: int) -> None:
            if 0 < done < total:
                seen.append(int(reader.stdout.readline()))  # type: ignore[union-attr]
                found = client.movies_similar.infer(title, k=100, by="description")
                answered.append(len(found))

        done = embed_films(str(loaded), client, advance, chunk=60, publish_seconds=0)
        assert done == 191
        seen += map(int, reader.stdout)
        assert reader.wait() == 0
    assert answered == [59, 100, 100]  # all embedded films but itself, at most 100
    return seen


@pytest.fixture(scope="module")
def films(server: Server, seen: list[int]) -> Server:
    """Return the server, with all films embedded."""
    return server


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_server_without_a_store_says_how_to_make_one(missing: str, place: Path) -> None:
    assert missing == (f"no graph store at {place}; `naiad movies load` creates one of films")


def test_others_query_while_films_are_embedded(seen: list[int]) -> None:
    assert seen[0] == 0
    assert seen[-1] == 191
    assert len(set(seen)) >= 3
    assert seen == sorted(seen)


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
def test_similar_films_come_with_what_they_share(films: Server, url: str) -> None:
    with naiad.Client(getattr(films, url)) as client:
        answer = client.movies_similar.infer("the moon job", k=3)
    first = answer[0]
    assert (first.name, first.why.genres) == (
        "The Vault Above Ceres (2041)",
        ("Science Fiction", "Crime"),
    )
    assert len(answer) == 3
    assert [pick.score for pick in answer] == sorted((p.score for p in answer), reverse=True)
    assert answer.about == "like The Moon Job (2044)"
    assert "is invented" in answer.notice


def test_likeness_is_the_same_from_the_server_and_the_store(films: Server) -> None:
    title, asked = "The Moon Job", ["--url", films.grpc_url]
    for by in ("ratings", "genre", "director", "cast"):
        served = run("movies", "similar", title, "--by", by, "-k", "3", *asked)
        read = run("movies", "similar", title, "--by", by, "-k", "3")
        assert served.exit_code == 0, served.output
        assert "The Moon Job (2044)" in served.output.splitlines()[0]
        assert len(served.output.splitlines()) >= 2
        assert served.output == read.output


def test_a_search_by_director_finds_only_their_films(films: Server, place: Path) -> None:
    with open_store(place, threads=1) as store:
        (film,) = store.find("Movie", {"title": "The Moon Job"})
        (link, *_) = store.links("hasDirector", [film["id"]])
        (director,) = store.get("Person", [link.target])
        theirs = {each.source for each in store.links("hasDirector", [link.target], side="target")}
    assert director is not None
    with films.client() as client:
        found = client.movies_search.infer("a heist", k=100, director=director["name"])
    assert {pick.id for pick in found} == theirs


def test_a_search_finds_films_by_meaning(films: Server) -> None:
    with films.client() as client:
        found = client.movies_search.infer("a heist in space", k=2)
        assert {pick.title for pick in found} == {"The Moon Job", "The Vault Above Ceres"}
        later = client.movies_search.infer("a heist in space", genre="Comedy", first_year=2042)
        assert [pick.title for pick in later] == ["The Moon Job"]
        wire = client.infer("movies_search", text=["a heist in space"])
    assert wire["title"].shape == wire["score"].shape == (10,)
    assert json.loads(wire["why"][0]) == {"people": [], "genres": [], "liked": [], "users": 0}


def test_recommendations_are_new_to_the_user_and_explained(films: Server, place: Path) -> None:
    with films.client() as client:
        picks = client.movies_recommend.infer("42", k=5)
    with open_store(place) as store:
        rated = {link.target for link in store.links("rated", ["42"])}
    assert len(picks) == 5
    assert not rated & {pick.id for pick in picks}
    assert all(pick.why.liked and pick.why.genres for pick in picks)
    assert picks[0].score <= 1


BAD = [
    (
        "movies_similar",
        {"movie": "The Mon Jobb"},
        r"no film is called 'The Mon Jobb'; did you mean: ",
    ),
    ("movies_similar", {"movie": ""}, r"no film is called ''"),
    (
        "movies_similar",
        {"movie": "x" * 100_000},
        r"no film is called 'x{80}\.\.\.'; none of the 191",
    ),
    ("movies_similar", {"movie": b"caf\xe9"}, r"movie\[0\] is not UTF-8: byte 3 is 0xe9"),
    ("movies_similar", {"movie": "The Moon Job", "k": -1}, r"k\[0\] is -1"),
    ("movies_similar", {"movie": "The Moon Job", "k": 101}, r"k\[0\] is 101"),
    (
        "movies_similar",
        {"movie": "The Moon Job", "by": "plot"},
        r"by is 'plot'; choose from all, description, ratings",
    ),
    ("movies_search", {"text": "x", "actor": "zzz"}, r"no actor is called 'zzz'"),
    ("movies_search", {"text": "  "}, r"text is empty; describe the film"),
    ("movies_search", {"text": "x", "genre": "Foo"}, r"no genre 'Foo'; choose from Adventure"),
    (
        "movies_search",
        {"text": "x", "first_year": 3, "last_year": 2},
        r"the first year, 3, is after",
    ),
    ("movies_recommend", {"user": "4200"}, r"no user '4200'; there are 60, such as 1, 10, 11"),
]


@pytest.mark.parametrize(("model", "inputs", "message"), BAD)
def test_bad_input_is_refused_by_name(films: Server, model: str, inputs, message: str) -> None:
    with films.client() as client, pytest.raises(naiad.InvalidInput, match=message):
        client.infer(model, {name: [value] for name, value in inputs.items()})


def test_a_query_of_100_000_characters_is_answered(films: Server) -> None:
    with films.client() as client:
        assert len(client.movies_search.infer("a heist in space " * 5_900, k=2)) == 2


def test_one_bad_request_among_many_fails_alone(films: Server) -> None:
    requests = [{"movie": ["The Moon Job"]}] * 7 + [{"movie": ["nope nope"]}]
    with films.client() as client:
        answers = list(client.try_many("movies_similar", requests))
    assert [isinstance(answer, naiad.InvalidInput) for answer in answers] == [False] * 7 + [True]


def test_a_locked_store_is_readable_but_not_writable(films: Server, place: Path) -> None:
    with write_store(str(place)), films.client() as client:
        assert len(client.movies_similar.infer("The Moon Job", k=2)) == 2
        with pytest.raises(StoreError, match="is locked: another process is writing to it"):
            embed_films(str(place), client, lambda done, total: None)


def test_embedding_again_has_nothing_to_do(films: Server, place: Path) -> None:
    result = run("movies", "embed", "--url", films.grpc_url)
    assert "all films have embeddings already" in result.output


def test_interrupted_embedding_resumes(films: Server, tmp_path: Path) -> None:
    place = str(tmp_path / "store")
    assert run("movies", "load", "--store", place).exit_code == 0

    def stop(done: int, total: int) -> None:
        if done >= 100:
            raise KeyboardInterrupt

    with films.client() as client:
        with pytest.raises(KeyboardInterrupt):
            embed_films(place, client, stop, chunk=50)
        assert embed_films(place, client, lambda done, total: None) == 91


def test_the_commands_ask_the_server_or_read_the_store(films: Server, tmp_path: Path) -> None:
    table = tmp_path / "picks.csv"
    asked = run("movies", "recommend", "--user", "42", "-k", 3, "--url", films.grpc_url)
    read = run("movies", "recommend", "--user", "42", "-k", 3, "-o", table)
    assert asked.exit_code == read.exit_code == 0, asked.output + read.output
    assert read.output.startswith(asked.output)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    found = run("movies", "search", "a heist in space", "-k", 2)
    assert "The Moon Job (2044)" in found.output
    assert "191 of 191" in run("movies", "info").output


def test_a_half_loaded_store_is_reported(films: Server, place: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    with create_store(half, movie_schema()):
        result = run("movies", "similar", "x", "--store", half)
    assert "is incomplete: nothing has been published" in str(result.exception)
