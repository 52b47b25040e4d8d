"""Graphs of films as people have them: nothing is lost without a word."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from naiad.applications.movies.graph import MovieTables, movie_schema
from naiad.applications.movies.reading import read_source
from naiad.applications.movies.vocabulary import title_and_year
from naiad.applications.store import Store, create_store, open_store
from naiad.errors import InvalidInput


def rows(tables: MovieTables, table: str) -> list[dict[str, Any]]:
    found = tables.nodes[table] if table in tables.nodes else tables.edges[table]
    return [{k: v for k, v in row.items() if v is not None} for row in found.to_pylist()]


def stored(tables: MovieTables, path: Path) -> Store:
    with create_store(path, movie_schema()) as writer:
        assert sum(tables.write(writer)) == tables.rows()
    return open_store(path, threads=1)


def test_the_sample_is_invented_and_the_same_every_time() -> None:
    first, second = read_source(None), read_source(None)
    assert "is invented" in first.notice
    assert not first.complaints
    assert all(first.nodes[name].equals(second.nodes[name]) for name in first.nodes)
    assert all(first.edges[name].equals(second.edges[name]) for name in first.edges)
    assert first.nodes["Movie"].num_rows == 191
    ratings = np.array(first.edges["rated"]["rating"])
    assert set(np.unique(ratings)) <= {x / 2 for x in range(1, 11)}


@pytest.mark.slow
def test_the_real_knowledge_graph_is_read_whole(shared_data: Path, tmp_path: Path) -> None:
    tables = read_source(shared_data / "movies")
    assert tables.complaints == []
    with stored(tables, tmp_path / "films") as store:
        counts = {table.name: store.count(table.name) for table in store.schema.nodes}
        assert counts == {
            "Movie": 9027,
            "Person": 8702,
            "Genre": 20,
            "Company": 7256,
            "Country": 94,
            "Language": 100,
            "User": 671,
            "About": 2,
        }
        (film,) = store.find("Movie", {"title": "The French Connection"})
        assert (film["year"], film["language"]) == (1971, "en")
        assert film["genres"] == ["Action", "Crime", "Thriller"]
        genres = store.neighbours("Movie", film["id"], "Genre", ["hasGenre"])
        names = {row["name"] for row in store.get("Genre", [g.key for g in genres]) if row}
        assert names == set(film["genres"])
        assert len(store.links("rated", ["42"])) > 10
    assert tables.edges["rated"].num_rows == 99_838
    assert sum(t.num_rows for n, t in tables.edges.items() if n != "rated") == 103_392


def write_movielens(folder: Path) -> None:
    (folder / "movies.csv").write_text(
        "\ufeffmovieId,title,genres\n"  # as spreadsheets write it
        '1,Toy Story (1995),Adventure|Animation\n2,"Matrix, The (1999)",(no genres listed)\n'
        "3,Untitled,Drama\n"
    )
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n1,0114709,862\n2,0133093,\n")
    (folder / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n7,1,4.5,100\n7,2,3.0,101\n8,9,1.0,102\n"
    )


def test_movielens(tmp_path: Path) -> None:
    write_movielens(tmp_path)
    tables = read_source(tmp_path)
    assert rows(tables, "Movie") == [
        {
            "id": "1",
            "title": "Toy Story",
            "year": 1995,
            "imdb_id": "0114709",
            "genres": ["Adventure", "Animation"],
            "tmdb_id": "862",
        },
        {"id": "2", "title": "The Matrix", "year": 1999, "genres": [], "imdb_id": "0133093"},
        {"id": "3", "title": "Untitled", "genres": ["Drama"]},
    ]
    assert [row["id"] for row in rows(tables, "User")] == ["7", "8"]
    assert rows(tables, "rated") == [
        {"from": "7", "to": "1", "rating": 4.5, "timestamp": 100},
        {"from": "7", "to": "2", "rating": 3.0, "timestamp": 101},
    ]
    assert tables.complaints == ["1 of 3 edges rated left out: their User or Movie is missing"]
    with stored(tables, tmp_path / "films") as store:
        assert store.count("Genre") == 3


def test_tmdb_with_credits_and_the_ratings_of_movielens(tmp_path: Path) -> None:
    write_movielens(tmp_path)  # its films have fewer facts: those of TMDB are taken
    genres = "[{'id': 16, 'name': 'Animation'}]".replace('"', '""')
    (tmp_path / "movies_metadata.csv").write_text(
        "id,title,overview,genres,release_date,tagline,production_companies,runtime,"
        "belongs_to_collection\n"
        f'862,Toy Story,"Toys, alive.","{genres}",1995-10-30,,'
        "\"[{'name': 'Pixar', 'id': 3}]\",81.0,\"{'id': 10194, 'name': 'Toys'}\"\n"
        "862,Toy Story,again,[],1995-10-30,,[],81.0,\n"
        "1997-08-20,broken,row,[],,,[],,\n"
        "9,Other,,no list,,,[],x,\n"
    )
    (tmp_path / "credits.csv").write_text(
        "cast,crew,id\n"
        "\"[{'id': 31, 'name': 'Tom Hanks', 'character': \"\"Woody's voice\"\"}]\","
        "\"[{'id': 7879, 'name': 'John Lasseter', 'job': 'Director'}, {'id': 1, 'name': 'x', "
        "'job': 'Grip'}]\",862\n[],[],55\n"
    )
    tables = read_source(tmp_path)
    first, other = rows(tables, "Movie")
    assert (first["year"], first["runtime"], first["collection"]) == (1995, 81.0, "Toys")
    assert first["overview"] == "Toys, alive."
    assert other == {"id": "9", "title": "Other", "overview": "", "genres": [], "tmdb_id": "9"}
    assert rows(tables, "hasActor") == [{"from": "862", "to": "31"}]
    assert rows(tables, "hasDirector") == [{"from": "862", "to": "7879"}]
    assert rows(tables, "Person") == [
        {"id": "31", "name": "Tom Hanks"},
        {"id": "7879", "name": "John Lasseter"},
    ]
    assert rows(tables, "hasProductionCompany") == [{"from": "862", "to": "3"}]
    assert [row["to"] for row in rows(tables, "rated")] == ["862"]
    assert tables.complaints == [
        "1 x movies_metadata.csv: film left out: its id is not a number",
        "1 x movies_metadata.csv: genres is not a list; taken as empty",
        "1 x credits.csv: credits left out: their film is missing",
        "2 x ratings.csv: rating left out: its film is not in links.csv",
        "1 repeated Movie nodes; the first of each was kept",
    ]


def write_graph(folder: Path, **tables: Any) -> None:
    """Write a graph of two films, a person and a user, or other tables."""
    graph = {
        "movies": {"_key": ["1", "2"], "title": ["Alien", "Heat"]},
        "nodes": {"_key": ["p", "u"], "name": ["Ann", None], "label": ["Person", "User"]},
        "edges": {"type": ["hasActor"], "from": ["1"], "to": ["p"]},
        "ratings": {"user": ["u"], "movie": ["1"], "rating": [4.0], "timestamp": [1]},
    }
    for name, columns in (graph | tables).items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")


DAYS = [date(1979, 5, 25), None]


@pytest.mark.parametrize(
    "released",
    [
        pa.array(DAYS, pa.date32()),
        pa.array(DAYS, pa.date64()),
        pa.array([datetime(1979, 5, 25, 23), None], pa.timestamp("us")),
        pa.array([296_438_400_000_000_001, None], pa.timestamp("ns")),  # as pandas writes it
        pa.array([datetime(1979, 5, 24, 23), None], pa.timestamp("ns", "+02:00")),  # midnight there
        pa.array([datetime(1979, 5, 25), None], pa.timestamp("ms", "Nowhere/At_All")),
        pa.array(["1979-05-25", None]).dictionary_encode(),
        pa.array(["1979-05-25T00:00", ""]),
        pa.array([296_438_400_000, None]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_date_of_any_type_is_a_date(tmp_path: Path, released: pa.Array) -> None:
    write_graph(
        tmp_path, movies={"_key": ["1", "2"], "title": ["Alien", "Heat"], "releaseDate": released}
    )
    first, second = rows(read_source(tmp_path), "Movie")
    assert (first["released"], first["year"]) == ("1979-05-25", 1979)
    assert second == {"id": "2", "title": "Heat"}


def test_dates_that_pandas_writes(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    for length, expected in (("D", "1979-05-25"), ("M", "1979-05-01"), ("Y", "1979-01-01")):
        days = pandas.PeriodIndex(["1979-05-25", "1995-12-15"], freq=length)
        films = pandas.DataFrame({"_key": [1, 2], "title": ["Alien", "Heat"], "releaseDate": days})
        write_graph(tmp_path)
        films.to_parquet(tmp_path / "movies.parquet")
        first, second = rows(read_source(tmp_path), "Movie")
        assert (first["id"], first["released"], second["year"]) == ("1", expected, 1995)
    days = pandas.PeriodIndex(["1979-05-25", "1995-12-15"], freq="W")
    films.assign(releaseDate=days).to_parquet(tmp_path / "movies.parquet")
    with pytest.raises(InvalidInput, match=r"releaseDate has pandas' periods of length 'W-SUN'"):
        read_source(tmp_path)


@pytest.mark.parametrize(
    ("column", "name", "expected"),
    [
        (pa.array(["Action|War", None]), "genres", ["Action", "War"]),
        (pa.array(["[{'id': 1, 'name': 'War'}]", ""]), "genres", ["War"]),
        (pa.array([[{"id": 1, "name": "War"}], None]), "genres", ["War"]),
        (pa.array(["War", None]).dictionary_encode(), "genres", ["War"]),
        (pa.array(["12", "x"]), "voteCount", 12.0),
        (pa.array([Decimal("7.5"), None]), "voteAverage", 7.5),
        (pa.array([95, None], pa.uint8()), "runTime", 95.0),
        (pa.array([b"Space", b"\xff"]), "tagline", None),
    ],
)
def test_a_property_of_any_type_is_converted_or_missing(
    tmp_path: Path, column: pa.Array, name: str, expected: Any
) -> None:
    write_graph(tmp_path, movies={"_key": ["1", "2"], "title": ["Alien", "Heat"], name: column})
    tables = read_source(tmp_path)
    first, second = rows(tables, "Movie")
    given = {key: value for key, value in first.items() if key not in ("id", "title")}
    assert list(given.values()) == ([] if expected is None else [expected])
    assert second == {"id": "2", "title": "Heat"}


def test_keys_are_text_whatever_their_type(tmp_path: Path) -> None:
    write_graph(
        tmp_path,
        movies={"_key": [1, 2], "title": [300, 1941]},
        edges={"type": ["hasActor"], "from": [1.0], "to": ["p"]},
        ratings={"user": ["u", "u"], "movie": [1.0, None], "rating": [4, 3], "timestamp": [1, 2]},
    )
    tables = read_source(tmp_path)
    assert [film["title"] for film in rows(tables, "Movie")] == ["300", "1941"]
    assert rows(tables, "hasActor") == [{"from": "1", "to": "p"}]
    assert rows(tables, "rated") == [{"from": "u", "to": "1", "rating": 4.0, "timestamp": 1}]


def test_ratings_without_a_number_are_left_out_in_every_form(tmp_path: Path) -> None:
    times = pa.array([datetime(2001, 1, 1), None, None, None], pa.timestamp("ns"))
    write_graph(
        tmp_path,
        movies={"_key": list("1234"), "title": list("abcd")},
        ratings={
            "user": ["u"] * 4,
            "movie": list("1234"),
            "rating": ["4.5", "", "nan", "good"],
            "timestamp": times,
        },
    )
    tables = read_source(tmp_path)
    assert rows(tables, "rated") == [
        {"from": "u", "to": "1", "rating": 4.5, "timestamp": 978_307_200}
    ]
    assert tables.complaints == ["3 of 4 edges rated left out: they have no rating"]
    folder = tmp_path / "csv"
    folder.mkdir()
    write_movielens(folder)
    (folder / "ratings.csv").write_text(
        "\ufeffuserId,movieId,rating,timestamp\n7,1,4.5,100\n7,2,,101\n8,1,NaN,102\n8,2,x,1e3\n"
    )
    tables = read_source(folder)
    assert rows(tables, "rated") == [{"from": "7", "to": "1", "rating": 4.5, "timestamp": 100}]
    assert tables.complaints == ["3 of 4 edges rated left out: they have no rating"]


def test_repeated_rows_are_counted_and_one_is_kept(tmp_path: Path) -> None:
    write_graph(
        tmp_path,
        movies={"_key": ["1", "1", None, "2"], "title": ["Alien", "again", "lost", "Heat"]},
        nodes={
            "_key": ["p", "p", "u"],
            "name": ["Ann", "Bo", None],
            "label": ["Actor"] * 2 + ["User"],
        },
        ratings={
            "user": ["u"] * 3,
            "movie": ["1", "1", "2"],
            "rating": [1.0, 5.0, 10.0],
            "timestamp": [7, 9, 8],
        },
    )
    tables = read_source(tmp_path)
    assert [film["title"] for film in rows(tables, "Movie")] == ["Alien", "Heat"]
    assert rows(tables, "Person") == [{"id": "p", "name": "Ann"}]
    assert [row["rating"] for row in rows(tables, "rated")] == [5.0, 10.0]
    assert tables.complaints == [
        "1 Movie nodes left out: they have no key",
        "1 repeated Movie nodes; the first of each was kept",
        "1 repeated Person nodes; the first of each was kept",
        "1 of 3 edges rated left out: the user rated the film again",
        "ratings are from 5 to 10; recommendations expect 0.5 to 5: rescale them",
    ]
    stored(tables, tmp_path / "films").close()


def test_rows_without_a_label_are_counted(tmp_path: Path) -> None:
    nodes = {"_key": ["p", "q", "u"], "name": ["Ann", "Bo", None]}
    write_graph(
        tmp_path,
        nodes=nodes | {"label": ["Person", None, "User"]},
        edges={"type": ["hasActor", None], "from": ["1", "1"], "to": ["p", "q"]},
    )
    tables = read_source(tmp_path)
    assert tables.complaints == [
        "1 nodes left out: they have no label",
        "1 edges left out: they have no label",
    ]
    write_graph(tmp_path, nodes=nodes | {"label": pa.nulls(3)})
    assert read_source(tmp_path).complaints[0] == "3 nodes left out: they have no label"


@pytest.mark.parametrize(
    ("written", "title", "year"),
    [
        ("Matrix, The (1999)", "The Matrix", 1999),
        ("Postino, Il (Postman, The) (1994)", "Il Postino (The Postman)", 1994),
        ("Avventura, L' (1960) ", "L'Avventura", 1960),
        ("Death Note (2006\u20132007)", "Death Note", 2006),
        ("Show (2006-)", "Show", 2006),
        ("Babylon 5", "Babylon 5", None),
        ("Girl, Interrupted (1999)", "Girl, Interrupted", 1999),
        ("2001", "2001", None),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", 2009),
    ],
)
def test_titles_of_movielens(written: str, title: str, year: int | None) -> None:
    assert title_and_year(written) == (title, year)


def test_a_comma_that_is_not_quoted_is_reported(tmp_path: Path) -> None:
    write_movielens(tmp_path)
    with (tmp_path / "movies.csv").open("a") as file:
        file.write("4,Misérables, Les (1998),Drama\n5,Short\n")
    tables = read_source(tmp_path)
    assert [film["id"] for film in rows(tables, "Movie")] == ["1", "2", "3", "5"]
    assert tables.complaints[0] == "1 x movies.csv: row left out: more cells than the header has"


def test_values_of_other_types_in_parquet(tmp_path: Path) -> None:
    """Dates that are dates, null ratings, and the words of the workshop's dump."""
    films = {
        "_key": ["1", "2"],
        "title": ["Alien", "Heat"],
        "releaseDate": [date(1979, 5, 25), None],
        "description": ["space", "cops"],
    }
    pq.write_table(pa.table(films), tmp_path / "movies.parquet")
    nodes = {"_key": ["p", "q", "u"], "name": ["Ann", "Bo", None]}
    nodes["label"] = ["Person", "Actor", "User"]
    pq.write_table(pa.table(nodes), tmp_path / "nodes.parquet")
    edges = {"type": ["hasActor", "ACTS_IN"], "from": ["1", "q"], "to": ["p", "1"]}
    pq.write_table(pa.table(edges), tmp_path / "edges.parquet")
    ratings = {"user": ["u", "u"], "movie": ["1", "2"], "rating": [4.0, None], "timestamp": [1, 2]}
    pq.write_table(pa.table(ratings), tmp_path / "ratings.parquet")
    tables = read_source(tmp_path)
    assert rows(tables, "Movie") == [
        {
            "id": "1",
            "title": "Alien",
            "released": "1979-05-25",
            "year": 1979,
            "overview": "space",
        },
        {"id": "2", "title": "Heat", "overview": "cops"},
    ]
    assert rows(tables, "hasActor") == [{"from": "1", "to": "p"}, {"from": "1", "to": "q"}]
    assert rows(tables, "rated") == [{"from": "u", "to": "1", "rating": 4.0, "timestamp": 1}]
    assert tables.complaints == ["1 of 2 edges rated left out: they have no rating"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"has no film graph: it needs movies\.parquet, movies_metadata\.csv"),
        ({"movies.csv": b"id,title\n"}, r"movies\.csv has no column 'movieId'; it has id, title"),
        ({"movies.csv": b"movieId,title,genres\n"}, r"has no film"),
        ({"movies.csv": b"movieId,title,genres\n1,\xe9,x\n"}, r"cannot be read as CSV"),
        ({"movies.parquet": b"no"}, r"cannot be read as Parquet"),
        ({"a.structure.json": b"[]"}, r"a\.structure\.json does not describe a collection"),
        ({"movies.parquet": b"", "a.csv": b""}, r"movies\.parquet cannot be read as Parquet"),
        ({"nodes.parquet": b""}, r"movies\.parquet is missing; a knowledge graph has movies"),
        ({"ratings.csv": b"", "credits.csv": b""}, r"lacks its films: movies_metadata\.csv, "),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        read_source(tmp_path)
    with pytest.raises(InvalidInput, match="is not a folder"):
        read_source(tmp_path / "gone")
