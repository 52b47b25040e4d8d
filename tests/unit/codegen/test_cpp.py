"""A pipeline's schema becomes a C++ header; tests/e2e/test_cpp.py compiles and uses it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.application import applications
from naiad.codegen.cpp import fields, header, struct_name
from naiad.core.pipeline import Pipeline, load_pipeline
from naiad.core.schema import Tensor
from naiad.errors import SchemaError


class Detector(Pipeline):
    """What a track is.

    A second paragraph.
    """

    inputs = {
        "x": Tensor("float32", ("hits", 3), unit="cm", minimum=-1, doc="where it is"),
        "kind": Tensor("int32", ("hits",), categories={0: "u", 1: "v"}, optional=True, default=1),
        "edges": Tensor("int64", (2, "edges"), index_into="hits"),
        "text/value": Tensor("bytes", ("requests",)),
    }
    outputs = {"class": Tensor("float16", ("requests", 4)), "seen": Tensor("bool", ("hits",))}


@pytest.fixture(scope="module")
def text() -> str:
    return header(Detector, "detector.py:Detector")


def test_it_says_what_it_is_and_where_it_comes_from(text: str) -> None:
    assert text.startswith("// What a track is.\n//\n// Written by `naiad codegen cpp detector.py:")
    assert "A second paragraph" not in text
    assert 'static constexpr const char* model = "detector";' in text
    assert "using Detector = Model<DetectorInput, DetectorOutput>;" in text


@pytest.mark.parametrize(
    "member",
    [
        "Array<float> x;",
        "std::optional<std::vector<std::int32_t>> kind;",
        "Array<std::int64_t> edges;",
        "std::vector<std::string> text_value;",
        "Array<Half> t_class;",
        "std::vector<std::uint8_t> seen;",
    ],
)
def test_each_tensor_is_a_member(text: str, member: str) -> None:
    assert f"  {member}\n" in text


@pytest.mark.parametrize(
    "spec",
    [
        '{"x", DataType::FP32, {"hits", 3}},',
        '{"kind", DataType::INT32, {"hits"}, true},',
        '{"edges", DataType::INT64, {2, "edges"}},',
        '{"text/value", DataType::BYTES, {1}},',
        '{"class", DataType::FP16, {1, 4}},',
    ],
)
def test_its_schema_is_the_pipeline_s(text: str, spec: str) -> None:
    assert spec in text


@pytest.mark.parametrize(
    "fact",
    [
        "`x`, [hits, 3], in cm: where it is (at least -1)",
        "(0 u, 1 v; may be left out, by default 1)",
        "(positions in hits)",
        "(0 or 1)",
    ],
)
def test_comments_have_the_facts(text: str, fact: str) -> None:
    assert fact in " ".join(line.strip(" /") for line in text.splitlines())


@pytest.mark.parametrize("application", [app.name for app in applications() if app.installed()])
def test_every_application_has_a_header(application: str) -> None:
    pipeline = load_pipeline(application)
    text = header(pipeline, application)
    for name in (*pipeline.inputs, *pipeline.outputs):
        assert f'{{"{name}", DataType::' in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("model", "name"),
    [("nugraph3", "Nugraph3"), ("gat_test", "GatTest"), ("a-b.c", "ABC"), ("zeroShot", "ZeroShot")],
)
def test_names_of_structs(model: str, name: str) -> None:
    assert struct_name(model) == name


@pytest.mark.parametrize("model", ["3d", "__"])
def test_a_model_without_a_name_in_c(model: str) -> None:
    with pytest.raises(SchemaError, match="must begin with a letter"):
        struct_name(model)


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6, unique=True))
def test_members_are_distinct_identifiers_whatever_tensors_are_called(names: list[str]) -> None:
    members = list(fields({name: Tensor("int32", ("n",)) for name in names}).values())
    assert len(set(members)) == len(names)
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", member) for member in members)
    assert not any("__" in member for member in members)
    assert not {"class", "model", "Tensor"} & set(members)
