"""Films by description and films like a film, on a graph small enough to see why."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.full_text import FullText
from naiad.applications.movies.graph import movie_schema
from naiad.applications.movies.likeness import WEIGHTS as LIKE
from naiad.applications.movies.likeness import like
from naiad.applications.movies.search import WEIGHTS, search
from naiad.applications.store import create_store, open_store, write_store
from naiad.errors import InvalidInput

# "same" and "sequel" are a series; "same" and "crew" share people and a company; "fans" is liked by
# those who like "same"; "lone" has nothing but its title.
FILMS = {
    "id": ["same", "sequel", "crew", "fans", "lone", "plain"],
    "title": ["Groundhog Day", "Groundhog Night", "Stripes", "Big", "Lone", "Plain"],
    "overview": [
        "A weatherman lives the same day over and over.",
        None,
        "Two friends join the army.",
        "A boy wakes up grown.",
        None,
        "A weatherman, and nothing else.",
    ],
    "genres": [["Comedy", "Fantasy"], ["Comedy"], ["War"], ["Romance"], None, None],
    "collection": ["Groundhog", "Groundhog", None, None, None, None],
}
VECTORS = np.array([[1, 0], [0.6, 0.8], [0, 1], [0, 1], [-1, 0], [0.8, 0.6]], np.float32)


def edges(*pairs: tuple[str, str]) -> pa.Table:
    return pa.table({"from": [pair[0] for pair in pairs], "to": [pair[1] for pair in pairs]})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("films") / "store")
    with create_store(place, movie_schema(2)) as writer:
        writer.load_nodes("Movie", pa.table(FILMS))
        writer.load_nodes("Person", pa.table({"id": ["p"], "name": ["Bill Murray"]}))
        writer.load_nodes("Company", pa.table({"id": ["c"], "name": ["Ace"]}))
        writer.load_nodes("User", pa.table({"id": ["u", "v", "w"]}))
        writer.load_edges("hasActor", edges(("same", "p"), ("crew", "p")))
        writer.load_edges("hasProductionCompany", edges(("same", "c"), ("crew", "c")))
        rated = edges(("u", "same"), ("u", "fans"), ("v", "same"), ("v", "fans"), ("w", "plain"))
        rated = rated.append_column("rating", pa.array([5.0, 5.0, 4.0, 4.0, 1.0]))
        writer.load_edges("rated", rated)
        writer.set_vectors("Movie", "embedding", FILMS["id"], VECTORS)
    return place


@pytest.fixture(scope="module")
def catalogue(place: str) -> Iterator[Catalogue]:
    with open_store(place, threads=1) as store:
        yield Catalogue(store)


def test_meaning_words_and_fame_add_up(catalogue: Catalogue) -> None:
    found = {p.id: p.score for p in search(catalogue, "the weatherman", VECTORS[0], 10)}
    words = catalogue.full_text.scores("the weatherman", 10)
    assert list(words) == ["plain", "same"]  # the shorter text first
    share = words["same"] / words["plain"]
    assert found == {
        "same": pytest.approx(
            WEIGHTS["meaning"] + WEIGHTS["words"] * share + WEIGHTS["fame"], abs=1e-6
        ),
        "plain": pytest.approx(WEIGHTS["meaning"] * 0.8 + WEIGHTS["words"], abs=1e-6),
        "sequel": pytest.approx(WEIGHTS["meaning"] * 0.6, abs=1e-6),
        # Nothing like it: fame finds no film by itself.
        **dict.fromkeys(("crew", "fans", "lone"), 0),
    }
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    assert sum(LIKE.values()) == pytest.approx(1)


def test_a_film_is_found_by_people_and_genres_in_any_spelling(catalogue: Catalogue) -> None:
    away = np.array([-1, 0], np.float32)
    assert list(catalogue.full_text.scores("BILL MÜRRAY armies", 5)) == ["crew", "same"]
    assert [p.id for p in search(catalogue, "WAR", away, 2)] == ["crew", "lone"]
    where = {"genres": ("has", "War")}
    assert [p.id for p in search(catalogue, "bill murray", away, 5, where)] == ["crew"]
    where = {"year": (">", 1), "id": ("in", ["same", "crew"])}
    assert search(catalogue, "bill murray", away, 5, where) == []  # no year is known
    where = {"genres": ("has", "Comedy"), "id": ("in", ["same", "crew"])}
    assert [p.id for p in search(catalogue, "bill murray", away, 5, where)] == ["same"]


def test_the_words_are_read_again_when_films_change(place: str) -> None:
    with open_store(place, threads=1) as store:
        catalogue = Catalogue(store)
        before = catalogue.full_text
        with write_store(place) as writer:
            writer.set_vectors("Movie", "embedding", ["lone"], VECTORS[:1])
        catalogue.refresh()
        assert catalogue.full_text is before  # only an embedding changed
        with write_store(place) as writer:
            writer.load_nodes("Movie", pa.table({"id": ["new"], "title": ["Zugzwang"]}))
        catalogue.refresh()
        assert list(catalogue.full_text.scores("zugzwang", 5)) == ["new"]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("running DOGS", ["a"]),  # stems
        ("Ame\u0301lie's", ["b"]),
        ("the it", ["c"]),  # nothing but ignored words
        ("the dog", ["a"]),
        ("", []),
        ("?", []),
        ('" OR * NEAR(', []),
        ("\ud800 \0", []),
        (" ".join(f"w{i}" for i in range(100_000)), []),
    ],
)
def test_any_text_may_be_searched_for(question: str, found: list[str]) -> None:
    index = FullText([("a", "A dog runs."), ("b", "Amélies Paris"), ("c", "It"), ("d", "")])
    assert list(index.scores(question, 5)) == found


def test_an_index_of_nothing_finds_nothing() -> None:
    assert FullText([]).scores("dog", 5) == FullText([("a", "")]).scores("dog", 5) == {}


def test_films_are_alike_by_all_that_is_known(catalogue: Catalogue) -> None:
    picks = {pick.id: pick for pick in like(catalogue, "same", 10)}
    assert list(picks) == ["sequel", "crew", "fans", "plain", "lone"]
    # Each signal's best film has all of its weight.
    assert picks["fans"].score == pytest.approx(LIKE["ratings"])
    assert picks["crew"].score == pytest.approx(LIKE["graph"])  # an actor and a company, the most
    assert picks["plain"].score == pytest.approx(LIKE["description"])  # the nearest
    assert picks["fans"].why.users == 2
    assert picks["crew"].why.people == ("Bill Murray (actor)",)


def test_a_signal_that_a_film_lacks_is_left_out(catalogue: Catalogue) -> None:
    """Nobody likes the sequel, so its description and graph count for all."""
    first = like(catalogue, "sequel", 1)[0]
    assert first.id == "same"
    part = LIKE["description"] * (0.6 / 0.96) ** 2  # plain is nearer
    assert first.score == pytest.approx((LIKE["graph"] + part) / (1 - LIKE["ratings"]))


def test_a_film_of_which_nothing_is_known_is_refused(place: str) -> None:
    with open_store(place, threads=1) as store, pytest.raises(InvalidInput, match="no embedding"):
        like(Catalogue(store), "new", 3)
