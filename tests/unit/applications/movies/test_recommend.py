"""Recommendations: the sum of three signals over all films, learned from all ratings."""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from naiad.applications.movies import recommend as module
from naiad.applications.movies import tastes as tastes_module
from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.current import Current
from naiad.applications.movies.ease import PENALTY
from naiad.applications.movies.graph import movie_schema
from naiad.applications.movies.recommend import WEIGHTS, Recommender
from naiad.applications.movies.tastes import OTHER, Tastes, current, learn, likes, tastes_path
from naiad.applications.store import Store, create_store, open_store, write_store
from naiad.errors import InvalidInput

USERS, FILMS, RATED, LENGTH = 12, 30, 24, 5  # films 24 to 29 are rated by nobody


def dense_ratings() -> np.ndarray:
    rng = np.random.default_rng(3)
    ratings = rng.integers(1, 11, (USERS, FILMS)) / 2 * (rng.random((USERS, FILMS)) < 0.4)
    ratings[:, RATED:] = 0
    return ratings


RATINGS = dense_ratings()
VECTORS = np.random.default_rng(4).normal(size=(FILMS, LENGTH)).astype(np.float32)
CAST = np.random.default_rng(5).random((FILMS, 6)) < 0.3
NAMES = [f"f{number:02}" for number in range(FILMS)]


def edges(rows: np.ndarray, columns: np.ndarray, source: str, target: str) -> pa.Table:
    return pa.table(
        {
            "from": [f"{source}{row:02}" for row in rows],
            "to": [f"{target}{column:02}" for column in columns],
        }
    )


def fill(place: Path) -> Path:
    with create_store(place, movie_schema(LENGTH)) as writer:
        writer.load_nodes("Movie", pa.table({"id": NAMES, "title": NAMES}))
        writer.load_nodes("Person", pa.table({"id": [f"p{n:02}" for n in range(6)]}))
        writer.load_nodes("User", pa.table({"id": [f"u{n:02}" for n in range(USERS + 1)]}))
        writer.load_edges("hasActor", edges(*np.nonzero(CAST), "f", "p"))
        rated = edges(*np.nonzero(RATINGS), "u", "f")
        writer.load_edges("rated", rated.append_column("rating", pa.array(RATINGS[RATINGS > 0])))
        writer.set_vectors("Movie", "embedding", NAMES, VECTORS)
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("films") / "store")


@pytest.fixture(scope="module")
def store(place: Path) -> Iterator[Store]:
    with open_store(place, threads=1) as store:
        yield store


@pytest.fixture(scope="module")
def catalogue(store: Store) -> Catalogue:
    return Catalogue(store)


@pytest.fixture(scope="module")
def recommender(place: Path, catalogue: Catalogue) -> Recommender:
    return Recommender(catalogue, learn(str(place), catalogue.store).tastes)


def defined(user: int) -> np.ndarray:
    """Return the scores as docs/movies.md defines them, with matrices of films by films."""
    rated = RATINGS > 0
    means = RATINGS.sum(axis=1) / rated.sum(axis=1)
    liked = rated & (means[:, None] < RATINGS)
    given = np.where(liked, 1, OTHER * rated)[:, :RATED]
    inverse = np.linalg.inv(given.T @ given + PENALTY * np.eye(RATED))
    taste = np.zeros(FILMS)
    taste[:RATED] = given[user] @ (inverse / -np.diag(inverse))
    units = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    known, new = units[:RATED], units[RATED:]
    # What the films' factors say of a profile is linear in them, and so is the ridge regression.
    gram = given.T @ np.linalg.inv(given @ given.T + PENALTY * np.eye(USERS)) @ given
    profile = given[user] @ gram
    mapping = np.linalg.solve(known.T @ known + np.eye(LENGTH), known.T @ profile)
    taste[RATED:] = new @ mapping
    graph = np.zeros(FILMS)
    people = CAST[liked[user]].any(axis=0)
    graph[:] = (CAST & people).sum(axis=1)
    text = units @ (np.where(liked[user], RATINGS[user] - means[user], 0) @ units)
    total = np.zeros(FILMS)
    for name, scores in (("taste", taste), ("graph", graph), ("text", text)):
        scores = np.where(rated[user], 0, scores)
        total += WEIGHTS[name] * np.maximum(scores / scores.max(), 0)
    return total


@pytest.mark.parametrize("user", range(0, USERS, 3))
def test_every_film_has_the_documented_score(recommender: Recommender, user: int) -> None:
    right = defined(user)
    scores = recommender.scores(recommender.history(f"u{user:02}"))
    np.testing.assert_allclose(scores, right, rtol=1e-3, atol=1e-5)
    picks = recommender.recommend(f"u{user:02}", FILMS)
    assert {pick.id for pick in picks} == {NAMES[n] for n in np.flatnonzero(right > 1e-6)}
    assert [pick.score for pick in picks] == sorted((pick.score for pick in picks), reverse=True)
    assert [pick.id for pick in recommender.recommend(f"u{user:02}", 3)] == [
        pick.id for pick in picks[:3]
    ]


def test_no_film_that_the_user_rated_is_recommended_and_all_others_may_be(
    recommender: Recommender,
) -> None:
    rated = {NAMES[film] for film in np.flatnonzero(RATINGS[1])}
    picks = {pick.id for pick in recommender.recommend("u01", 100)}
    assert not picks & rated
    assert picks & set(NAMES[RATED:])  # films that nobody rated


def test_reasons_are_liked_films_and_users(recommender: Recommender) -> None:
    liked = {NAMES[f] for f in np.flatnonzero(RATINGS[1] > RATINGS[1][RATINGS[1] > 0].mean())}
    four = RATINGS >= 4
    for pick in recommender.recommend("u01", 30):
        assert pick.why.liked
        assert set(pick.why.liked) <= liked
        named = [NAMES.index(film) for film in liked]
        others = four[:, named].any(axis=1) & four[:, NAMES.index(pick.id)]
        assert pick.why.users == others.sum()


def test_without_tastes_graph_and_text_rank(catalogue: Catalogue) -> None:
    picks = Recommender(catalogue, None).recommend("u01", 5)
    assert len(picks) == 5
    assert 0 < picks[0].score <= WEIGHTS["graph"] + WEIGHTS["text"]
    assert all(pick.why.liked for pick in picks)


def test_a_large_catalogue_takes_the_nearest_descriptions(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Recommender(catalogue, None).recommend("u01", 5)
    monkeypatch.setattr(module, "MOST_DESCRIBED", FILMS - 1)
    found = Recommender(catalogue, None).recommend("u01", 5)
    assert [pick.id for pick in found] == [pick.id for pick in right]
    assert [pick.score for pick in found] == pytest.approx([pick.score for pick in right], rel=1e-4)


def test_a_user_without_ratings_is_told_apart_from_none(recommender: Recommender) -> None:
    with pytest.raises(InvalidInput, match="user 'u12' has rated no films"):
        recommender.recommend("u12", 3)
    with pytest.raises(InvalidInput, match="no user 'u99'; there are 13, such as u00, u01, u02"):
        recommender.recommend("u99", 3)


def test_users_like_what_they_rate_above_their_mean_or_all_alike() -> None:
    users = np.array([2, 0, 0, 0, 2])
    found = likes(users, np.array([3.0, 1.0, 5.0, 3.0, 3.0]))
    assert found.tolist() == [True, False, True, False, True]


def test_tastes_follow_the_ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new rating is noticed: learned again if that is quick, else the notice tells."""
    place = fill(tmp_path / "store")
    with open_store(place, threads=1) as store:
        catalogue = Catalogue(store)
        first = learn(str(place), store).tastes
        now = Current(catalogue, str(place))
        one = now.recommender()
        assert now.recommender() is one
        assert now.notice == ""
        with write_store(place) as writer:
            writer.load_edges("rated", pa.table({"from": ["u12"], "to": ["f29"], "rating": [5.0]}))
        catalogue.refresh()
        monkeypatch.setattr(tastes_module, "EXACT", 5)
        assert now.recommender() is not one
        assert now.notice == (
            "the ratings have changed since they were learned from: run `naiad movies learn`"
        )
        assert [pick.why.liked for pick in now.recommender().recommend("u12", 3)] == [("f29",)] * 3
        monkeypatch.undo()
        learned = current(str(place), store).tastes
        assert first is not None
        assert learned is not None
        assert set(learned.films) - set(first.films) == {"f29"}
        kept = Tastes.load(tastes_path(str(place)))
        assert kept is not None
        assert kept.digest == learned.digest != first.digest
        now.recommender()
        assert now.notice == ""


def test_films_beyond_the_most_rated_are_left_out(
    place: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tastes_module, "MOST_FILMS", 10)
    tastes = learn(str(tmp_path), store).tastes
    assert tastes is not None
    number = (RATINGS > 0).sum(axis=0)
    assert len(tastes.films) == 10
    assert tastes.left_out == (number > 0).sum() - 10
    least = min(number[NAMES.index(film)] for film in tastes.films)
    assert (number > least).sum() <= 10


def test_edges_without_a_rating_do_not_count(place: Path, store: Store, tmp_path: Path) -> None:
    once = learn(str(tmp_path), store).tastes
    again = shutil.copytree(place, tmp_path / "store")
    rows = {"from": ["u12", "u12"], "to": ["f00", "f01"], "rating": [None, float("nan")]}
    with write_store(again) as writer:
        writer.load_edges("rated", pa.table(rows))
    with open_store(again, threads=1) as other:
        learned = learn(str(tmp_path), other).tastes
        assert once is not None
        assert learned is not None
        assert learned.digest == once.digest
        with pytest.raises(InvalidInput, match="user 'u12' has rated no films"):
            Recommender(Catalogue(other), learned).recommend("u12", 3)


def test_of_repeated_ratings_the_best_counts(place: Path, store: Store, tmp_path: Path) -> None:
    once = learn(str(tmp_path), store).tastes
    again = shutil.copytree(place, tmp_path / "store")
    films = np.flatnonzero(RATINGS[0])
    with write_store(again) as writer:
        rated = edges(np.zeros(len(films), int), films, "u", "f")
        writer.load_edges("rated", rated.append_column("rating", pa.array(RATINGS[0, films] / 2)))
    with open_store(again, threads=1) as other:
        twice = learn(str(tmp_path), other).tastes
    assert once is not None
    assert twice is not None
    assert twice.digest != once.digest
    np.testing.assert_allclose(
        twice.factors.T @ twice.factors, once.factors.T @ once.factors, atol=1e-6
    )


def archive(**arrays: object) -> bytes:
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 no archive", b"\x93NUMPY", archive(films=["a"]), archive(format=9)],
)
def test_a_damaged_file_is_learned_again(
    place: Path, store: Store, tmp_path: Path, content: bytes
) -> None:
    path = tastes_path(str(tmp_path))
    path.write_bytes(content)
    assert Tastes.load(path) is None
    assert current(str(tmp_path), store).tastes is not None
    assert Tastes.load(path) is not None
    assert [each.name for each in tmp_path.iterdir()] == ["tastes.npz"]


def test_a_store_that_may_only_be_read_is_answered_from(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        assert current(str(tmp_path / "file"), store).tastes is not None
    assert "tastes.npz cannot be written" in caplog.text


def test_tastes_of_a_database_are_in_the_cache(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NAIAD_CACHE", str(tmp_path))
    path = tastes_path("arangodb://ann:secret@localhost:8529/films")
    assert path.parent == tmp_path / "movies"
    assert path == tastes_path("arangodb://ann@localhost:8529/films")
    assert path != tastes_path("arangodb://ann@localhost:8529/other")
