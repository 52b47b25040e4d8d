"""Labels in options, files and tables; and what the report says of answers to doubt."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from naiad.applications.text.zero_shot.labels import Asked, split_labels
from naiad.applications.text.zero_shot.report import LabelsReport
from naiad.applications.text.zero_shot.task import Classification, ZeroShotTask
from naiad.errors import InvalidInput
from naiad.tasks.sources import find_inputs, open_input

TASK = ZeroShotTask()


def units(path: Path) -> list[Any]:
    (given,) = find_inputs(TASK, [path])
    source = open_input(TASK, given)
    return [unit for _, unit in source.read(range(len(source)))]


def test_labels_may_have_commas(tmp_path: Path) -> None:
    assert split_labels("sports, economy") == ("sports", "economy")
    assert split_labels('"arts, music",economy') == ("arts, music", "economy")
    assert split_labels("") == ()
    file = tmp_path / "labels.txt"
    file.write_text("\ufeffwar, peace\n\nweather\n", "utf-8")
    options = TASK.Options(("sports",), label=("arts, music",), labels_file=file)
    assert options.shared == ("sports", "arts, music", "war, peace", "weather")
    assert TASK.coerce("a text", options) == ("a text", options.shared, False)
    file.write_text("\n")
    with pytest.raises(InvalidInput, match="has no labels; it must have one per line"):
        TASK.coerce("a text", TASK.Options(labels_file=file))


TABLES = {
    "a.csv": 'text,labels\n"a, text",\'one,"two, three"\'\nanother,"[""x"", ""y, z""]"\nthird,\n',
    "a.tsv": 'id\ttext\tlabels\n1\ta, text\tone,""two\n2\tanother\t["x", "y, z"]\n3\tthird\t\n',
    "a.jsonl": '{"text": "a, text", "labels": ["one"]}\n\n'
    '{"text": "another", "labels": ["x", "y, z"]}\n{"text": "third"}\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_labels_for_each_text(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TABLES[name], "utf-8-sig")
    first, second, third = units(tmp_path / name)
    assert (first.text, first.own) == ("a, text", True)
    assert second == Asked("another", ("x", "y, z"), own=True)
    assert third == "third"


def test_a_file_without_the_column_is_one_of_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a text, with a comma\nanother\n")
    assert units(tmp_path / "a.csv") == ["a text, with a comma", "another"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ("[1]", 'line 2 must be an object with "text"'),
        ('{"text": "x", "labels": 3}', "labels are 3; they must be a list of texts"),
        ('{"text": "x", "labels": "[1"}', "which is not a list in JSON"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "fine"}}\n{line}\n')
    with pytest.raises(InvalidInput, match=message):  # noqa: PT012
        for unit in units(tmp_path / "a.jsonl"):
            if isinstance(unit, Exception):
                raise unit


def test_a_text_has_its_own_labels_or_those_of_all() -> None:
    alone, shared = TASK.Options(), TASK.Options(("a", "b"))
    asked = TASK.coerce(("a text", ["x", "y, z"]), alone)
    with pytest.raises(InvalidInput, match="it has labels of its own; leave those for all"):
        TASK.coerce(("a text", ["x"]), shared)
    with pytest.raises(InvalidInput, match="there are no labels; give some"):
        TASK.coerce("a text", alone)
    assert [column.name for column in TASK.columns_of({}, alone)] == ["text", "label", "scores"]
    result = Classification(("y, z", "x"), (0.75, 0.25), False, tuple(asked.labels), asked.own)
    assert list(TASK.rows(result)) == [("y, z", '{"y, z": 0.75, "x": 0.25}')]


@pytest.mark.parametrize(
    ("labels", "unread", "method", "said"),
    [
        (("positive", "Negative"), 0.0, "similarity", "often misses whether a text is for or"),
        (("positive", "Negative"), 0.0, "entailment", ""),
        (("love", "war"), 0.0, "similarity", ""),
        (("a", "b"), 0.9, "gliclass", "does not read their language"),
        (("a", "b"), 0.2, "similarity", ""),
    ],
)
def test_the_report_says_which_answers_to_doubt(
    labels: tuple[str, ...],
    unread: float,
    method: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = LabelsReport(1, 10, {"method": method})
    found: Any = SimpleNamespace(
        name="a text", result=Classification(labels, (0.9, 0.1), unread=unread)
    )
    report.add(found)
    report.print(1.0)
    errors = " ".join(capsys.readouterr().err.split())
    assert said in errors
    assert bool(errors) == bool(said)
