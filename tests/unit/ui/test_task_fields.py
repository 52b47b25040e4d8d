"""Fields of a call of a task over HTTP, from JSON and from forms."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from naiad.application import application, applications
from naiad.client import Client
from naiad.errors import InvalidInput
from naiad.tasks.calls import TaskCall
from naiad.tasks.task import Task
from naiad.ui.task_fields import FILES, TaskFields, file_name

TASKS = [app.name for app in applications() if issubclass(app, Task)]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client("localhost:1") as client:  # never asked
        yield client


def fields_of(client: Client, name: str) -> TaskFields:
    kind: Any = application(name)
    return TaskFields(TaskCall(client, kind, kind.model))


@pytest.mark.parametrize("name", TASKS)
def test_no_option_has_the_name_of_another_field(client: Client, name: str) -> None:
    kind: Any = application(name)
    call = TaskCall(client, kind, kind.model)
    fields = TaskFields(call)
    properties = fields.schema(form=False)["properties"]
    others = [one for one in (fields.typed, FILES, "start", "count", "picture", "outputs") if one]
    assert not {one.name for one in call.fields} & {*others}
    assert properties.keys() <= {*others, *(one.name for one in call.fields)}


def test_json_has_texts_files_and_options(client: Client) -> None:
    given = fields_of(client, "zero_shot").from_json(
        {
            "texts": ["a", "b"],
            "files": [{"name": "c.txt", "content": base64.b64encode(b"c").decode()}],
            "labels": ["x", "y"],
        }
    )
    assert given.typed == ("a", "b")
    assert given.files == (("c.txt", b"c"),)
    assert given.options == {"labels": ["x", "y"]}


def test_a_form_says_the_same_in_text(client: Client) -> None:
    path = Path("c.txt")
    given = fields_of(client, "zero_shot").from_form(
        [("texts", "a"), ("texts", "b"), ("labels", "x"), ("labels", "y"), ("multi_label", "true")],
        [("c.txt", path)],
    )
    assert given.typed == ("a", "b")
    assert given.files == (("c.txt", path),)
    assert given.options == {"labels": ["x", "y"], "multi_label": True}
    events = fields_of(client, "nugraph3").from_form(
        [("start", "3"), ("count", "2")], [("e", path)]
    )
    assert (events.start, events.count) == (3, 2)


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("zero_shot", [], "the body must be a JSON object, not a list"),
        ("zero_shot", {}, "give texts or files: there are no texts to ask about"),
        ("zero_shot", {"texts": []}, "give texts or files"),
        ("zero_shot", {"texts": "a"}, "texts is a string; it must be a list"),
        ("zero_shot", {"texts": ["a", 1]}, "texts[1] is a number; it must be a string"),
        ("zero_shot", {"texts": ["\ud800"]}, "texts[0]: character 0 is the surrogate U+D800"),
        ("zero_shot", {"texts": ["a"], "x": 1}, "unknown field 'x'; fields: texts, files, labels"),
        ("mednist", {"texts": ["a"]}, "unknown field 'texts'; fields: files, picture"),
        ("mednist", {"files": [{"name": "a"}]}, 'objects with "name" and "content"'),
        ("mednist", {"files": ["/etc/passwd"]}, 'objects with "name" and "content"'),
        ("mednist", {"files": [{"name": "a", "content": "QQ=!"}]}, "of 'a' is not base64"),
        ("mednist", {"files": [{"name": "a", "content": ""}], "picture": 1}, "true or false"),
        ("nugraph3", {"files": [{"name": "a", "content": ""}], "start": -1}, "an integer from 0"),
    ],
)
def test_a_wrong_field_is_named(client: Client, name: str, body: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        fields_of(client, name).from_json(body)
    assert said in str(caught.value)


def test_a_field_given_twice_is_refused(client: Client) -> None:
    with pytest.raises(InvalidInput, match="multi_label is given 2 times"):
        fields_of(client, "zero_shot").from_form(
            [("texts", "a"), ("multi_label", "true"), ("multi_label", "false")], []
        )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.jpg", "a.jpg"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("../..", "file"),
        ("", "file"),
        ("a\0b\n.png", "a_b_.png"),
        ("\ud800.png", "_.png"),
        ("x" * 300 + ".nii.gz", "x" * 193 + ".nii.gz"),
    ],
)
def test_a_file_is_kept_under_the_last_part_of_its_name(given: str, kept: str) -> None:
    assert file_name(given) == kept
