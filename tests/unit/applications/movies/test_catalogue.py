"""What is picked, and why, on a graph small enough to see it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.credits import search_filter
from naiad.applications.movies.graph import MovieTables, description, full_title, movie_schema
from naiad.applications.movies.likeness import like, question
from naiad.applications.movies.names import words
from naiad.applications.movies.picks import Pick, Why, as_arrays, from_arrays, pack
from naiad.applications.movies.place import open_films, store_place
from naiad.applications.movies.search import search
from naiad.applications.movies.titles import Titles
from naiad.applications.store import create_store, open_store
from naiad.errors import InvalidInput, StoreError

# a and b share a director and a genre; u1 likes a, as does u2, who likes c as well.
FILMS = pa.table(
    {
        "id": ["a", "b", "c", "d", "e"],
        "title": ["Alpha", "Beta", "Gamma", "Delta", "Beta"],
        "year": [2001, 2002, 2003, 2004, 1950],
        "genres": [["War"], ["War", "Drama"], ["Music"], ["Music"], None],
    }
)
VECTORS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.8, 0.6, 0]], np.float32)  # of a to d


def edges(*pairs: tuple[str, str]) -> pa.Table:
    return pa.table({"from": [pair[0] for pair in pairs], "to": [pair[1] for pair in pairs]})


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    place = tmp_path_factory.mktemp("films") / "store"
    rated = edges(("u1", "a"), ("u1", "e"), ("u2", "a"), ("u2", "c"), ("u3", "c"), ("u4", "d"))
    ratings = pa.array([5.0, 1.0, 5.0, 4.0, 4.5, 3.0])
    tables = MovieTables(
        {
            "Movie": FILMS,
            "Person": pa.table({"id": ["p", "q"], "name": ["Ann Hay", "Bob Lee"]}),
            "Genre": pa.table({"id": ["War", "Music"], "name": ["War", "Music"]}),
            "User": pa.table({"id": ["u1", "u2", "u3", "u4", "u5"]}),
        },
        {
            "hasDirector": edges(("a", "p"), ("b", "p")),
            "hasActor": edges(("a", "q"), ("c", "q")),
            "hasGenre": edges(("a", "War"), ("b", "War"), ("b", "Music"), ("c", "Music")),
            "rated": rated.append_column("rating", ratings),
        },
        "a test",
    )
    with create_store(place, movie_schema(3)) as writer:
        assert sum(tables.write(writer)) == tables.rows()
        writer.set_vectors("Movie", "embedding", list("abcd"), VECTORS)
    with open_store(place, threads=1) as store:
        yield Catalogue(store)


def test_similar_films_say_what_they_share(catalogue: Catalogue) -> None:
    picks = like(catalogue, "a", 2, "description")
    assert [(pick.name, pytest.approx(pick.score)) for pick in picks] == [
        ("Delta (2004)", 0.8),
        ("Beta (2002)", 0.0),
    ]
    assert picks[0].why == Why()
    assert picks[1].why == Why(people=("Ann Hay (director)",), genres=("War",))


def test_a_film_without_embedding_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(InvalidInput, match=r"Beta \(1950\) has no embedding yet; run `naiad mov"):
        like(catalogue, "e", 2, "description")


def test_titles_are_found_as_people_write_them(catalogue: Catalogue) -> None:
    assert catalogue.find("  ALPHA ") == catalogue.find("alpha (2001)") == catalogue.find("a")
    with pytest.raises(InvalidInput, match=r"2 films are called 'beta': Beta \(2002\), id b; Beta"):
        catalogue.find("beta")
    assert catalogue.find("Beta (1950)") == catalogue.find("beta 1950") == "e"
    with pytest.raises(
        InvalidInput, match=r"no film is called 'Gama'; did you mean: Gamma \(2003\)"
    ):
        catalogue.find("Gama")
    with pytest.raises(InvalidInput, match="none of the 5 films has a similar title"):
        catalogue.find("zzzzzzzz")


titles = st.text(min_size=1, max_size=8).filter(words)


@given(st.lists(titles, max_size=6, unique_by=words))
def test_every_title_that_one_film_has_is_found(titles: list[str]) -> None:
    index = Titles((f"key {i}", title, None) for i, title in enumerate(titles))
    for number, title in enumerate(titles):
        assert index.find(title) == f"key {number}"
        assert index.find(f"key {number}") == f"key {number}"
    with pytest.raises(InvalidInput):
        index.find("nothing like that")


texts = st.text(max_size=12)
lists = st.lists(texts, max_size=3).map(tuple)
whys = st.builds(Why, lists, lists, lists, st.integers(0, 9))
picks = st.builds(Pick, texts, texts, st.integers(0, 2100), st.floats(-1, 1, width=32), whys)


@given(st.lists(picks, max_size=4), texts, texts)
def test_picks_cross_the_wire_unchanged(picks: list[Pick], about: str, notice: str) -> None:
    arrays = as_arrays(pack(picks, about, notice))
    assert from_arrays(arrays) == picks
    assert (arrays["about"][0].decode(), arrays["notice"][0].decode()) == (about, notice)


def test_filters_of_a_search(catalogue: Catalogue) -> None:
    assert search_filter(catalogue) == {}
    assert search_filter(catalogue, genre="War", first_year=1990, last_year=1999) == {
        "genres": ("has", "War"),
        "year": ("between", (1990, 1999)),
    }
    assert search_filter(catalogue, genre="wár") == {"genres": ("has", "War")}
    with pytest.raises(InvalidInput, match="no genre 'Wart'; choose from Drama, Music, War"):
        search_filter(catalogue, genre="Wart")
    assert search_filter(catalogue, first_year=5) == {"year": (">=", 5)}
    assert search_filter(catalogue, last_year=5) == {"year": ("<=", 5)}
    for name in ("ann  HAY", "Ann-Háy", "A\u0301nn Hay"):
        assert search_filter(catalogue, director=name) == {"id": ("in", ["a", "b"])}
    assert search_filter(catalogue, director="Ann Hay", actor="Bob Lee") == {"id": ("in", ["a"])}


def test_a_search_may_ask_for_people(catalogue: Catalogue) -> None:
    where = search_filter(catalogue, actor="Bob Lee")
    found = search(catalogue, "x", np.array([0, 0, 1], np.float32), 5, where)
    assert [pick.id for pick in found] == ["c", "a"]
    found = search(catalogue, "Alpha", np.array([0, 0, 1], np.float32), 5, where)
    assert [pick.id for pick in found] == ["a", "c"]
    where = search_filter(catalogue, actor="Bob Lee", genre="Drama")
    assert search(catalogue, "x", np.array([0, 0, 1], np.float32), 5, where) == []
    with pytest.raises(InvalidInput, match=r"^no actor is called 'Bob Le'; did you mean: Bob Lee$"):
        search_filter(catalogue, actor="Bob Le")
    with pytest.raises(InvalidInput, match=r"^no director is called 'zzz'$"):
        search_filter(catalogue, director="zzz")
    with pytest.raises(InvalidInput, match=r"^Bob Lee is the director of no film in this graph$"):
        search_filter(catalogue, director="bob lee")


def test_no_film_has_both_people(catalogue: Catalogue) -> None:
    where = search_filter(catalogue, director="Ann Hay", actor="Bob Lee", genre="Music")
    assert search(catalogue, "music", np.ones(3, np.float32), 5, where) == []
    where = {"id": ("in", [])}  # the films of two people who never met
    assert search(catalogue, "music", np.ones(3, np.float32), 5, where) == []


@pytest.mark.parametrize(
    ("by", "film", "expected", "words"),
    [
        ("description", "a", [("d", 0.8), ("b", 0.0)], "like Alpha (2001), by description"),
        # u1 and u2 like a; of them u2 likes c, as does u3.
        ("ratings", "a", [("c", 0.5)], "liked by those who like Alpha (2001)"),
        ("director", "a", [("b", 1.0)], "like Alpha (2001), by director"),
        ("cast", "c", [("a", 1.0)], "like Gamma (2003), by cast"),
        # a and c share half of b's genres, and two users like each.
        ("genre", "b", [("a", 0.5), ("c", 0.5)], "like Beta (2002), by genre"),
        ("genre", "a", [("b", 1.0)], "like Alpha (2001), by genre"),
        ("title", "ga", [("c", 1.0)], "called like 'ga'"),
    ],
)
def test_films_are_alike_in_one_way(
    catalogue: Catalogue, by: str, film: str, expected: list[tuple[str, float]], words: str
) -> None:
    found = like(catalogue, film, 2, by)
    assert [(pick.id, pytest.approx(pick.score)) for pick in found] == expected
    assert question(catalogue, film, by) == words


def test_likeness_is_explained(catalogue: Catalogue) -> None:
    (pick,) = like(catalogue, "a", 5, "ratings")
    assert pick.why == Why(people=("Bob Lee (actor)",), users=1)


@pytest.mark.parametrize(
    ("by", "film", "message"),
    [
        (
            "plot",
            "a",
            "by is 'plot'; choose from all, description, ratings, genre, director, cast, title",
        ),
        ("director", "c", r"Gamma \(2003\) has no director in this graph"),
        ("cast", "b", r"Beta \(2002\) has no cast in this graph"),
        ("genre", "e", r"Beta \(1950\) has no genre in this graph"),
        ("ratings", "d", r"no user rates Delta \(2004\) 4 or more"),
    ],
)
def test_a_film_without_what_is_compared_is_refused(
    catalogue: Catalogue, by: str, film: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        like(catalogue, film, 3, by)


def test_what_is_embedded_is_title_overview_and_tagline() -> None:
    film = {"title": "Heat", "overview": "A heist.", "tagline": None}
    assert description(film) == "Heat. A heist."
    assert description({"title": None, "overview": None, "tagline": "Run."}) == "Run."
    assert full_title(None, None) == "untitled"


def test_a_store_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.delenv("NAIAD_MOVIES", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert store_place() == str(tmp_path / "naiad" / "movies")
    monkeypatch.setenv("NAIAD_MOVIES", "arangodb://localhost/films")
    assert store_place() == "arangodb://localhost/films"
    with pytest.raises(StoreError, match="`naiad movies load` creates one of films"):
        open_films(str(tmp_path / "none"))
