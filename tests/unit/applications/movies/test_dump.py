"""Dumps of ArangoDB: in every layout and vocabulary the same films, and no damage unsaid."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from naiad.applications.movies import vocabulary
from naiad.applications.movies.graph import MovieTables, movie_schema
from naiad.applications.movies.reading import read_source
from naiad.applications.store import create_store, open_store
from naiad.errors import InvalidInput

PAGE = Path(__file__).parents[4] / "docs" / "movies.md"
LAYOUTS = ("workshop", "arangodump", "plain", "split")

Documents = list[dict[str, Any]]


def write(
    folder: Path,
    name: str,
    documents: Documents,
    layout: str = "arangodump",
    *,
    edges: bool = False,
) -> list[Path]:
    """Write a collection; return its data files."""
    folder.mkdir(exist_ok=True)
    hashed = f"{name}_{hashlib.md5(name.encode()).hexdigest()}"
    stem = name if layout in ("workshop", "plain") else hashed
    structure = {"indexes": [], "parameters": {"name": name, "type": 3 if edges else 2}}
    (folder / f"{stem}.structure.json").write_text(json.dumps(structure))
    if layout != "plain":
        documents = [{"type": 2300, "data": document} for document in documents]
    lines = [f"{json.dumps(document)}\n".encode() for document in documents]
    if layout == "plain":
        files = {f"{name}.data.json": b"".join(lines)}
    elif layout == "arangodump":
        files = {f"{hashed}.data.json": b"".join(lines)}
    elif layout == "workshop":
        files = {f"{hashed}.data.json.gz": gzip.compress(b"".join(lines))}
    else:  # twelve parts, which do not sort as text
        parts = [b"".join(lines[part::12]) for part in range(12)]
        files = {f"{hashed}.{n}.data.json.gz": gzip.compress(part) for n, part in enumerate(parts)}
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return [folder / file for file in files]


def rows(tables: MovieTables, table: str) -> list[dict[str, Any]]:
    found = tables.nodes[table] if table in tables.nodes else tables.edges[table]
    return [{k: v for k, v in row.items() if v is not None} for row in found.to_pylist()]


def contents(tables: MovieTables) -> dict[str, list[str]]:
    found = {name: rows(tables, name) for name in (*tables.nodes, *tables.edges)}
    return {name: sorted(map(repr, each)) for name, each in found.items()}


ONE_COLLECTION: Documents = [
    {
        "_key": "1",
        "type": "Movie",
        "title": "Metropolis",
        "label": "Metropolis",
        "description": "A city.",
        "genre": "Drama",
        "imdbId": "tt0017136",
        "language": "de",
        "tagline": float("nan"),
        "releaseDate": -1356220800000,
        "runtime": 153.0,
    },
    {"_key": "2", "type": "Movie", "title": "Heat", "releaseDate": "818985600000", "tagline": 7},
    {"_key": "3", "type": "Movie", "title": "Ran", "releaseDate": "1985-06-01"},
    {"_key": "drama", "type": "Genre", "label": "Drama"},
    {"_key": "crime", "type": "Genre", "label": "Crime"},
    {"_key": "p", "type": "Person", "name": "Fritz Lang", "birthday": "-2497219200000"},
    {"_key": "q", "type": "Person", "name": "Al Pacino", "label": "Al Pacino"},
]
EDGES: Documents = [
    {"_key": "1", "_from": "imdb_vertices/p", "_to": "imdb_vertices/1", "$label": "DIRECTED"},
    {
        "_key": "2",
        "_from": "imdb_vertices/q",
        "_to": "imdb_vertices/2",
        "$label": "ACTS_IN",
        "type": "Role",
        "name": "Vincent",
    },
    {"_key": "3", "_from": "imdb_vertices/drama", "_to": "imdb_vertices/1", "$label": "has_movie"},
    {"_key": "4", "_from": "imdb_vertices/crime", "_to": "imdb_vertices/2", "$label": "has_movie"},
]
RATINGS: Documents = [
    {
        "_key": "1",
        "_from": "Users/u",
        "_to": "imdb_vertices/1",
        "$label": "RATED",
        "type": "Rating",
        "rating": 4,
        "timestamp": 997938310,
    },
    {
        "_key": "2",
        "_from": "Users/u",
        "_to": "imdb_vertices/2",
        "rating": "3.5",
        "timestamp": "997938310000",
    },
]


def write_workshop(folder: Path, layout: str) -> None:
    write(folder, "imdb_vertices", ONE_COLLECTION, layout)
    write(folder, "imdb_edges", EDGES, layout, edges=True)
    write(folder, "Users", [{"_key": "u", "type": "User", "age": 35}], layout)
    write(folder, "Ratings", RATINGS, layout, edges=True)
    (folder / "ENCRYPTION").write_text("none")
    (folder / "dump.json").write_text('{"database": "films"}')


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_collection_of_nodes_and_one_of_edges(tmp_path: Path, layout: str) -> None:
    write_workshop(tmp_path, layout)
    tables = read_source(tmp_path)
    assert sorted(rows(tables, "Movie"), key=lambda row: row["id"]) == [
        {
            "id": "1",
            "title": "Metropolis",
            "year": 1927,
            "overview": "A city.",
            "genres": ["Drama"],
            "released": "1927-01-10",
            "language": "de",
            "imdb_id": "tt0017136",
            "runtime": 153.0,
        },
        {
            "id": "2",
            "title": "Heat",
            "year": 1995,
            "tagline": "7",
            "genres": ["Crime"],
            "released": "1995-12-15",
        },
        {"id": "3", "title": "Ran", "year": 1985, "released": "1985-06-01"},
    ]
    assert rows(tables, "Person") == [
        {"id": "p", "name": "Fritz Lang"},
        {"id": "q", "name": "Al Pacino"},
    ]
    assert rows(tables, "Genre") == [
        {"id": "drama", "name": "Drama"},
        {"id": "crime", "name": "Crime"},
    ]
    assert rows(tables, "hasDirector") == [{"from": "1", "to": "p"}]
    assert rows(tables, "hasActor") == [{"from": "2", "to": "q"}]
    assert rows(tables, "hasGenre") == [{"from": "1", "to": "drama"}, {"from": "2", "to": "crime"}]
    assert rows(tables, "rated") == [
        {"from": "u", "to": "1", "rating": 4.0, "timestamp": 997938310},
        {"from": "u", "to": "2", "rating": 3.5, "timestamp": 997938310},
    ]
    assert tables.complaints == []


def test_a_collection_for_each_table_is_the_same_graph(tmp_path: Path) -> None:
    write_workshop(tmp_path / "one", "workshop")
    names = {"Movie": "movies", "Person": "People", "Genre": "genre"}
    homes = {d["_key"]: names[d["type"]] for d in ONE_COLLECTION} | {"u": "user"}
    several = tmp_path / "several"
    for kind, name in names.items():
        write(
            several,
            name,
            [
                {k: v for k, v in d.items() if k != "type"}
                for d in ONE_COLLECTION
                if d["type"] == kind
            ],
        )
    write(several, "user", [{"_key": "u"}])

    def moved(edge: dict[str, Any]) -> dict[str, Any]:
        ends = {end: edge[end].partition("/")[2] for end in ("_from", "_to")}
        return edge | {end: f"{homes[key]}/{key}" for end, key in ends.items()}

    for label in ("DIRECTED", "ACTS_IN"):
        edges = [moved(e) | {"$label": ""} for e in EDGES if e["$label"] == label]
        write(several, label.lower(), edges, edges=True)
    genres = [moved(e) for e in EDGES if e["$label"] == "has_movie"]
    forth = [e | {"_from": e["_to"], "_to": e["_from"], "$label": "hasGenre"} for e in genres]
    write(several, "links", forth, edges=True)
    write(several, "hasRated", [moved(e) for e in RATINGS], edges=True)
    assert contents(read_source(several)) == contents(read_source(tmp_path / "one"))


@pytest.mark.slow
def test_the_real_dumps_are_the_same_graph(shared_data: Path, tmp_path: Path) -> None:
    folders = [shared_data / "film_dumps" / layout for layout in LAYOUTS[:3]]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip("there are no film dumps among the reference data")
    first, *others = map(read_source, folders)
    assert first.complaints == []
    for other in others:
        assert contents(other) == contents(first)
    counts = {name: len(each) for name, each in contents(first).items()}
    assert counts == {
        "Movie": 60,
        "Person": 185,
        "Genre": 12,
        "User": 80,
        "hasActor": 176,
        "hasDirector": 47,
        "hasGenre": 60,
        "rated": 3736,
    }
    assert all(row.keys() >= {"title", "year", "overview"} for row in rows(first, "Movie"))
    assert not any(row.get("tagline") == "nan" for row in rows(first, "Movie"))
    with create_store(tmp_path / "films", movie_schema()) as writer:
        assert sum(first.write(writer)) == first.rows()
    with open_store(tmp_path / "films", threads=1) as store:
        (film,) = store.find("Movie", {"title": "The Lion King"})
        assert (film["year"], film["genres"]) == (1994, ["Family"])


def test_separate_collections_and_what_is_left_out(tmp_path: Path) -> None:
    films = [
        {"_key": "1", "title": "Heat", "releaseDate": "1995-12-15", "genres": ["Crime"]},
        {"_key": "2", "title": "Ran", "voteAverage": 8, "year": 1985},
    ]
    write(tmp_path, "Movie", films, "plain")
    write(tmp_path, "Person", [{"_key": "p", "name": "Al"}, {"_key": "x", "type": 3}], "plain")
    write(tmp_path, "Users", [{"_key": "u"}], "workshop")
    write(tmp_path, "Weather", [{"_key": "w"}])
    write(tmp_path, "_graphs", [], "plain")[0].unlink()  # ArangoDB's own may have no data
    edges = [
        {"_key": "1", "_from": "Movie/1", "_to": "Person/p", "$label": "hasActor"},
        {"_key": "2", "_from": "Movie/1", "_to": "Person/q", "$label": "hasActor"},
        {"_key": "3", "_from": "Movie/1", "_to": "Weather/w", "$label": "hasWeather"},
        {"_key": "4", "_from": "Person/p", "_to": "Movie/1", "$label": "hasActor"},
        {"_key": "5", "_from": "Movie/1", "_to": "Person/p", "$label": "ACTS_IN"},
    ]
    write(tmp_path, "edge", edges, edges=True)
    ratings = [
        {"_key": "1", "_from": "Users/u", "_to": "Movie/2", "stars": 4},
        {"_key": "2", "_from": "Users/u", "_to": "Movie/1", "rating": None},
    ]
    write(tmp_path, "Ratings", ratings, edges=True)
    tables = read_source(tmp_path)
    assert rows(tables, "Movie") == [
        {
            "id": "1",
            "title": "Heat",
            "released": "1995-12-15",
            "year": 1995,
            "genres": ["Crime"],
        },
        {"id": "2", "title": "Ran", "year": 1985, "vote_average": 8.0},
    ]
    assert rows(tables, "Person") == [{"id": "p", "name": "Al"}, {"id": "x"}]
    assert rows(tables, "Genre") == [{"id": "Crime", "name": "Crime"}]
    assert rows(tables, "hasGenre") == [{"from": "1", "to": "Crime"}]
    assert rows(tables, "hasActor") == [{"from": "1", "to": "p"}]
    assert rows(tables, "rated") == [{"from": "u", "to": "2", "rating": 4.0}]
    assert sorted(tables.complaints) == [
        "1 x collection Weather left out: not part of a film graph",
        "1 x edge hasActor left out: it does not lead from Movie to Person",
        "1 x edge hasActor left out: it does not lead from Person to Movie",
        "1 x edge hasActor left out: its Movie or Person is missing",
        "1 x edge hasWeather of edge left out: not part of a film graph",
        "1 x edge of Ratings left out: it has no rating",
    ]


def test_a_collection_without_data_is_empty_if_it_is_not_of_films(tmp_path: Path) -> None:
    """``arangodump`` writes no file for an empty collection."""
    write_workshop(tmp_path, "workshop")
    for name, edges in (("Metadata", False), ("similar", True)):
        write(tmp_path, name, [], edges=edges)[0].unlink()
    tables = read_source(tmp_path)
    assert len(rows(tables, "Movie")) == 3
    assert tables.complaints == [
        "collection Metadata taken as empty: it has no data file",
        "collection similar taken as empty: it has no data file",
    ]


@pytest.mark.parametrize("name", ["imdb_vertices", "imdb_edges", "Users", "Ratings"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_workshop(tmp_path, "workshop")
    (data,) = tmp_path.glob(f"{name}_*.data.json.gz")
    data.unlink()
    with pytest.raises(InvalidInput, match=rf"{name}\.structure\.json has no data beside it"):
        read_source(tmp_path)
    (tmp_path / f"{name}.data.json").touch()  # the remedy in the message
    if name == "imdb_vertices":
        with pytest.raises(InvalidInput, match="has no films"):
            read_source(tmp_path)
    else:
        assert len(rows(read_source(tmp_path), "Movie")) == 3


def test_movielens_in_a_dump(tmp_path: Path) -> None:
    films = [
        {"_key": "1", "movie title": "Postman, The (1997)", "release date": "1-Jan-97"},
        {"_key": "2", "Title": "Heat", "Overview": "No overview found.", "Year": 1995},
    ]
    write(tmp_path, "Movies", films)
    write(tmp_path, "Users", [{"_key": "7", "type": "User"}])
    ratings = [{"_key": "1", "_from": "Users/7", "_to": "Movies/1", "Rating": 4, "Timestamp": 5}]
    write(tmp_path, "Ratings", ratings, edges=True)
    tables = read_source(tmp_path)
    assert rows(tables, "Movie") == [
        {"id": "1", "title": "The Postman", "year": 1997, "released": "1-Jan-97"},
        {"id": "2", "title": "Heat", "year": 1995},
    ]
    assert rows(tables, "rated") == [{"from": "7", "to": "1", "rating": 4.0, "timestamp": 5}]
    assert tables.complaints == []


def test_nodes_of_two_collections_with_one_key_are_two(tmp_path: Path) -> None:
    write(tmp_path, "Movie", [{"_key": "1", "title": "Heat"}])
    write(tmp_path, "Actors", [{"_key": "7", "name": "Al Pacino"}])
    write(tmp_path, "Directors", [{"_key": "7", "name": "Michael Mann"}])
    edges = [
        {"_key": "1", "_from": "Actors/7", "_to": "Movie/1", "$label": "ACTED_IN"},
        {"_key": "2", "_from": "Directors/7", "_to": "Movie/1", "$label": "DIRECTED"},
    ]
    write(tmp_path, "edges", edges, edges=True)
    tables = read_source(tmp_path)
    names = {row["id"]: row["name"] for row in rows(tables, "Person")}
    assert [names[row["to"]] for row in rows(tables, "hasActor")] == ["Al Pacino"]
    assert [names[row["to"]] for row in rows(tables, "hasDirector")] == ["Michael Mann"]


def test_a_document_of_a_later_part_may_replace_or_remove_an_earlier_one(tmp_path: Path) -> None:
    stem = write(tmp_path, "Movie", [])[0].name.removesuffix(".data.json")
    (tmp_path / f"{stem}.data.json").unlink()
    parts = {
        2: [
            {"type": 2300, "data": {"_key": "1", "title": "One"}},
            {"type": 2300, "data": {"_key": "2", "title": "Two"}},
            {"type": 2300, "data": {"_key": "3", "title": "Three"}},
        ],
        # Until ArangoDB 3.0 removals had their key beside the type.
        10: [
            {"type": 2302, "data": {"_key": "1"}},
            {"type": 2302, "key": "2"},
            {"type": 2300, "key": "3", "data": {"_key": "3", "title": "Third"}},
        ],
    }
    for part, lines in parts.items():
        text = "\n\n".join(map(json.dumps, lines))
        (tmp_path / f"{stem}.{part}.data.json").write_text(text)
    assert rows(read_source(tmp_path), "Movie") == [{"id": "3", "title": "Third"}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (772329600000, "1994-06-23"),
        (-1, "1969-12-31"),
        (0, "1970-01-01"),
        ("-123456789000", "1966-02-02"),
        ("1306274400000", "2011-05-24"),
        (1.5e12, "2017-07-14"),
        (1995, "1995"),
        ("1995", "1995"),
        ("1995-12-15T00:00:00.000Z", "1995-12-15"),
        ("spring 1995", "spring 1995"),
        (10**30, None),
        ("9" * 5000, None),
        (float("nan"), None),
        (True, None),
        ([], None),
        ("", None),
        (None, None),
    ],
)
def test_dates(value: object, expected: str | None) -> None:
    assert vocabulary.day(value) == expected


STRUCTURE = {"a.structure.json": b'{"parameters": {"name": "Movie", "type": 2}}'}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.structure.json": b"[]"}, r"a\.structure\.json does not describe a collection"),
        (STRUCTURE, r"a\.structure\.json has no data beside it: a\.data\.json or a_HASH\.data"),
        ({"a.data.json": b""}, r"a\.data\.json has no structure beside it: a\.structure\.json"),
        (STRUCTURE | {"a.data.json": b""}, "has no films"),
        (STRUCTURE | {"a.data.json": b'{"_key": "1"}\n[1]\n'}, r"json, line 2 is not a document"),
        (STRUCTURE | {"a.data.json": b'{"_key": "1"}\n\n{"_k'}, r"json, line 3 is not a document"),
        (STRUCTURE | {"a.data.json": b'{"_key": 1}'}, r"line 1 .* its _key is 1, not text"),
        (STRUCTURE | {"a.data.json": b'{"type": "Movie"}'}, r"line 1 .* it has no _key"),
        (STRUCTURE | {"a.data.json": b'{"type": 2300}'}, r"line 1 .* its _key is None"),
        (STRUCTURE | {"a.data.json": b'{"type": 2300, "key": "1"}'}, r"its envelope has no data"),
        (STRUCTURE | {"a.data.json": b"[" * 100_000}, r"line 1 is not a document"),
        (STRUCTURE | {"a.data.json": b"[" * (17 << 20)}, r"line 1 has more than 16,777,216 bytes"),
        (STRUCTURE | {"a.data.json": b'{"_key": "\xff"}'}, r"line 1 is not a document"),
        (
            STRUCTURE | {"a.data.json.gz": gzip.compress(b'{"_key": "1"}\n' * 99)[:-9]},
            r"a\.data\.json\.gz cannot be read",
        ),
        (STRUCTURE | {"a.data.vpack": b""}, r"a\.data\.vpack is VelocyPack, not JSON"),
        (
            {"a.structure.json": b"\x8f\x01", "ENCRYPTION": b"aes-256-ctr"},
            r"is encrypted \(aes-256-ctr\)",
        ),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        read_source(tmp_path)


def test_a_file_that_was_decompressed_but_not_renamed_is_read(tmp_path: Path) -> None:
    (path,) = write(tmp_path, "Movie", [{"_key": "1", "title": "Heat"}], "workshop")
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert rows(read_source(tmp_path), "Movie") == [{"id": "1", "title": "Heat"}]


def test_the_folder_of_a_database_is_proposed(tmp_path: Path) -> None:
    write(tmp_path / "films", "Movie", [{"_key": "1", "title": "Heat"}])
    with pytest.raises(InvalidInput, match=r"did you mean .*films\?"):
        read_source(tmp_path)


def test_every_word_is_documented() -> None:
    page = PAGE.read_text("utf-8")
    section = page[page.index("## Films of your own") : page.index("## Errors")]
    documented = set(re.findall(r"`([^`\n]+)`", section))
    mappings = (vocabulary.NODES, vocabulary.EDGES, vocabulary.BACKWARDS, vocabulary.PROPERTIES)
    words = {word for each in mappings for names in each.values() for word in names}
    words |= {*vocabulary.RATING, *movie_schema().node("Movie").properties}
    assert words <= documented, sorted(words - documented)
    for name in words - set(vocabulary.RATING):
        assert (
            vocabulary.node_table(name)
            or vocabulary.edge_table(name)
            or any(
                name in vocabulary.names_of(each)
                for each in movie_schema().node("Movie").properties
            )
        )
