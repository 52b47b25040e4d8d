"""Schemas of graphs: names are safe to be part of a query, and what is written is read again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.applications.store import EdgeTable, GraphSchema, NodeTable
from naiad.errors import SchemaError

names = st.sampled_from(["A", "b1", "from_", "Match", "x_y_Z9"])
properties = st.dictionaries(
    names,
    st.sampled_from(["string", "int64", "double", "bool", "strings"]),
    max_size=4,
)


@given(name=names, node=properties, edge=properties, length=st.integers(1, 65_536))
def test_a_schema_is_the_same_after_json(name, node, edge, length) -> None:
    schema = GraphSchema(
        (NodeTable(name, node, vectors={"v": length}), NodeTable(f"{name}2", key="int64")),
        (EdgeTable(f"{name}3", name, f"{name}2", edge),),
    )
    assert GraphSchema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize("name", ["", "a b", "a`b", "1a", "a;", "é", "a" * 64, "a\n", "a'b"])
def test_names_that_could_end_a_name_in_a_query_are_refused(name: str) -> None:
    with pytest.raises(SchemaError, match="is not a valid name for a table or property"):
        NodeTable(name)
    with pytest.raises(SchemaError, match="is not a valid name for a table or property"):
        EdgeTable("e", "a", "b", {name: "string"})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NodeTable("A", {"id": "string"}), "A has two columns named id"),
        (lambda: NodeTable("A", {"x": "string", "X": "string"}), "A has two columns named x"),
        (lambda: NodeTable("A", {"x": "string"}, vectors={"x": 2}), "A has two columns named x"),
        (lambda: NodeTable("A", {"x": "str"}), r"A\.x has type 'str'; types are string, int64"),
        (lambda: NodeTable("A", key="double"), "key='double'; it must be string or int64"),
        (lambda: NodeTable("A", vectors={"v": 0}), r"A\.v has 0 numbers"),
        (lambda: EdgeTable("E", "A", "A", {"to": "string"}), "E has two columns named to"),
        (lambda: GraphSchema((NodeTable("A"), NodeTable("a"))), "two tables are called a"),
        (
            lambda: GraphSchema((NodeTable("A"),), (EdgeTable("E", "A", "B"),)),
            "E has nodes of 'B'; the tables are A",
        ),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(make, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        make()
