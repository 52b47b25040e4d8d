"""Options of tasks as fields of forms, and as JSON Schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pytest

from naiad.application import applications
from naiad.errors import InvalidInput
from naiad.tasks.option_fields import option_fields, read_options
from naiad.tasks.task import Task


@dataclass(frozen=True)
class Options:
    labels: Sequence[str] = field(
        metadata={"help": "Labels.", "parser": lambda text: tuple(text.split(","))}
    )
    top: int = field(default=3, metadata={"help": "Number.", "min": 1, "max": 9})
    cut: float | None = field(default=None, metadata={"help": "Threshold."})
    by: Literal["cast", "genre"] = field(default="cast", metadata={"help": "Likeness."})
    exact: bool = field(default=False, metadata={"help": "Compare exactly."})
    shown: int = field(default=1, metadata={"help": "Lines to print.", "display": True})
    own: str = ""  # of the task alone
    file: Path | None = field(default=None, metadata={"help": "A file of the user's."})
    files: tuple[Path, ...] = field(default=(), metadata={"help": "Some files."})


def test_fields_have_types_bounds_choices_and_help():
    schemas = {one.name: one.schema() for one in option_fields(Options)}
    assert schemas == {
        "labels": {"type": "array", "items": {"type": "string"}, "description": "Labels."},
        "top": {
            "type": "integer",
            "description": "Number.",
            "minimum": 1,
            "maximum": 9,
            "default": 3,
        },
        "cut": {"type": ["number", "null"], "description": "Threshold.", "default": None},
        "by": {
            "type": "string",
            "description": "Likeness.",
            "enum": ["cast", "genre"],
            "default": "cast",
        },
        "exact": {"type": "boolean", "description": "Compare exactly.", "default": False},
    }


@pytest.mark.parametrize("name", ["file", "files", "own", "shown"])
def test_an_option_that_is_no_field_cannot_be_given(name: str):
    with pytest.raises(InvalidInput, match=f"unknown option '{name}'; options: labels, top, cut"):
        read_options(Options, {"labels": ["a"], name: "/etc/passwd"})


@pytest.mark.parametrize("kind", [app for app in applications() if issubclass(app, Task)])
def test_no_field_of_an_application_names_a_file(kind: type[Task[Any, Any]]):
    types = get_type_hints(kind.Options)
    assert not [one.name for one in option_fields(kind.Options) if "Path" in str(types[one.name])]


def test_plain_values_become_options():
    read = read_options(Options, {"labels": ["a", "b"], "cut": 1, "by": "genre", "exact": True})
    assert read == Options(("a", "b"), cut=1.0, by="genre", exact=True)
    assert read_options(Options, {"labels": "a,b", "cut": None}) == Options(("a", "b"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "labels is missing: Labels."),
        ({"labels": [1]}, r"labels is \[1\]; it must be a list of strings"),
        ({"labels": ["a", "\ud800"]}, r"labels\[1\]: character 0 is the surrogate U\+D800"),
        ({"labels": ["a"], "top": True}, "top is True; it must be of type integer"),
        ({"labels": ["a"], "top": 10}, "top is 10; it must be from 1 to 9"),
        ({"labels": ["a"], "top": 2.0}, "top is 2.0; it must be of type integer"),
        ({"labels": ["a"], "cut": float("nan")}, "cut is nan; it must be of type number"),
        ({"labels": ["a"], "by": "year"}, "by is 'year'; it must be cast or genre"),
        ({"labels": ["a"], "exact": 1}, "exact is 1; it must be of type boolean"),
        ({"labels": ["a"], "shown": 2}, "unknown option 'shown'; options: labels, top, cut, by"),
    ],
)
def test_other_values_are_refused_by_name(given: dict[str, object], message: str):
    with pytest.raises(InvalidInput, match=message):
        read_options(Options, given)


def test_every_application_has_fields_whose_defaults_are_read_back():
    tasks = [app for app in applications() if issubclass(app, Task)]
    assert len(tasks) > 10
    for task in tasks:
        known = option_fields(task.Options)
        given = {one.name: ["a"] for one in known if one.required}
        defaults = {one.name: one.default for one in known if not one.required}
        assert read_options(task.Options, given | defaults) == read_options(task.Options, given)
