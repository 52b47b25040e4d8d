"""Films by id and title, as people type them."""

from __future__ import annotations

import unicodedata

import pytest

from naiad.applications.movies.titles import Titles
from naiad.errors import InvalidInput

FILMS = [
    ("1", "Amélie", 2001),
    ("2", "WALL·E", 2008),
    ("3", "Ocean’s Eleven", 1960),
    ("4", "Ocean's Eleven", 2001),
    ("5", "The Matrix", 1999),
    ("6", "Hamlet", 1948),
    ("7", "1941", 1979),
    ("1941", "Hamlet", 1990),
    ("8", "Il Postino (The Postman)", 1994),
    ("9", "M", 1931),
    ("10", "O", 2001),
    ("11", "W.", 2008),
    ("12", "Spider-Man", 2002),
    ("13", "Die Hard", 1988),
    ("14", "$", 1971),
    ("15", None, 1999),
    ("16", "The Mummy", 1999),
    ("17", "Mummy", 1932),
    ("18", "八月の濡れた砂", 1971),
    ("19", "8½", 1963),
]


@pytest.fixture(scope="module")
def titles() -> Titles:
    return Titles(FILMS)


@pytest.mark.parametrize(
    ("typed", "film"),
    [
        ("Amelie", "1"),
        (unicodedata.normalize("NFD", "AMÉLIE"), "1"),
        ("amélie (2001)", "1"),
        ("Amelie 2001", "1"),
        ("WALL-E", "2"),
        ("Wall E", "2"),
        ("walle", "2"),
        ("Oceans Eleven (1960)", "3"),
        ("matrix", "5"),
        ("Matrix, The", "5"),
        ("the  MATRIX", "5"),
        ("The Postman", "8"),
        ("Postino, Il", "8"),
        ("il postino (the postman) (1994)", "8"),
        ("m", "9"),
        ("W", "11"),
        ("spiderman", "12"),
        ("spider man", "12"),
        ("$", "14"),
        ("the mummy", "16"),
        ("mummy", "17"),
        ("八月の濡れた砂", "18"),
        ("8 1/2", "19"),
        # An id comes before a title.
        ("1941", "1941"),
        (" 1941 ", "1941"),
        ("1941 (1979)", "7"),
        ("7", "7"),
    ],
)
def test_a_film_is_found_as_people_type_it(titles: Titles, typed: str, film: str) -> None:
    assert titles.find(typed) == film


def test_every_id_that_a_message_offers_is_that_of_the_film(titles: Titles) -> None:
    with pytest.raises(InvalidInput, match=r"2 films are called 'hamlet': ") as caught:
        titles.find("hamlet")
    listed = str(caught.value).partition(": ")[2].removesuffix(". Give an id").split("; ")
    assert listed == ["Hamlet (1948), id 6", "Hamlet (1990), id 1941"]
    for entry in listed:
        name, _, film = entry.partition(", id ")
        assert titles.name(titles.find(film)) == name


@pytest.mark.parametrize("typed", ["Oceans Eleven", "Ocean´s eleven", "Ocean's Eleven"])
def test_films_of_one_title_are_listed_however_it_is_spelt(titles: Titles, typed: str) -> None:
    message = r"2 films are called .*: Ocean’s Eleven \(1960\), id 3; Ocean's Eleven \(2001\), id 4"
    with pytest.raises(InvalidInput, match=message):
        titles.find(typed)


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("Amelia", "Amélie (2001)"),
        ("the matrx", "The Matrix (1999)"),
        ("Hard Die", "Die Hard (1988)"),
        ("Spiderwoman", "Spider-Man (2002)"),
    ],
)
def test_suggestions_are_like_what_was_typed(titles: Titles, typed: str, suggested: str) -> None:
    with pytest.raises(InvalidInput, match="did you mean: ") as caught:
        titles.find(typed)
    found = str(caught.value).partition("did you mean: ")[2].split("; ")
    assert found[0] == suggested
    assert not {"M (1931)", "O (2001)", "W. (2008)"} & set(found)


@pytest.mark.parametrize("typed", ["", "  ", "1999", "()", "?!", "the", "\ud800", "x" * 100_000])
def test_a_title_of_no_film_is_refused(titles: Titles, typed: str) -> None:
    with pytest.raises(InvalidInput, match="no film is called"):
        titles.find(typed)


def test_of_very_many_films_of_one_title_some_are_listed() -> None:
    titles = Titles((f"k{i}", "Untitled", None) for i in range(1_500))
    with pytest.raises(InvalidInput, match=r"^1,500 films are .*, id k19; and 1,480 more\. Give"):
        titles.find("untitled")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("am", ["1"]),
        ("AMELI", ["1"]),
        ("ameliee", ["1", "6", "1941"]),  # none begins so: similar ones
        ("o", ["10", "4", "3"]),  # those that begin so, the short first
        ("mum", ["17", "16"]),  # before those in which a later word does
        ("postma", ["8"]),
        ("harddie", ["13"]),
        ("八月", ["18"]),
        ("xyzzy", []),
        ("  ", []),
    ],
)
def test_a_title_is_completed_as_one_types(titles: Titles, typed: str, found: list[str]) -> None:
    scores = titles.completed(typed, 3)
    assert [*scores] == found
    assert [*scores.values()] == sorted(scores.values(), reverse=True)
    assert all(0 < score <= 1 for score in scores.values())
