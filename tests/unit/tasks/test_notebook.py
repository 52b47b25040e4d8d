"""Results as notebooks show them: by the columns of their task, and by its picture."""

from __future__ import annotations

import copy
import pickle
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from naiad.errors import MissingExtra
from naiad.tasks.notebook import Results, Shown, show_by
from naiad.tasks.task import Column, Draws, Found, Task

COLUMNS = (
    Column("text", fill="unit"),
    Column("number", "int64", fill="number"),
    Column("word"),
    Column("score", "float32"),
)


@dataclass(frozen=True, repr=False)
class Words(Shown):
    """The words of a text."""

    words: tuple[str, ...]
    scores: NDArray[np.float32]


class WordsTask(Task[str, Words]):
    """Score words."""

    name, pipeline, unit = "words", f"{__file__}:Nothing", "texts"
    columns = COLUMNS

    def request(self, unit: str, options: Any) -> dict[str, Any]:
        return {}

    def answer(self, unit: str, outputs: Any, card: Any) -> Words:
        return words(unit)

    def rows(self, result: Words) -> Iterator[Sequence[object]]:
        yield from zip(result.words, result.scores.tolist(), strict=True)


class Drawn(WordsTask, Draws):
    """The same, with pictures of two texts at most."""

    name, most = "drawn", 2
    drawn: int = 0

    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        self.drawn += 1
        path.write_bytes("; ".join(one.unit() for one in found).encode())


class Undrawn(Drawn):
    """The same without matplotlib."""

    name = "undrawn"

    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        raise MissingExtra("plots", "matplotlib")


def words(text: str) -> Words:
    """Return a result."""
    found = tuple(text.split())
    return Words(found, np.linspace(0, 1, len(found), dtype=np.float32))


def test_a_result_is_a_table_of_the_tasks_columns_without_names_that_it_lacks() -> None:
    shown = show_by(WordsTask(), {}, None, words("a b"))._repr_html_()
    assert "<th>word</th><th>score</th>" in shown
    assert "<td>b</td><td>1</td>" in shown
    assert "<th>text</th>" not in shown
    assert "<th>number</th>" not in shown


def test_results_of_several_units_are_one_table_with_their_names() -> None:
    texts = ["a b", "c"]
    results = show_by(WordsTask(), {}, None, Results(map(words, texts)), texts)
    assert "<td>c</td><td>1</td><td>c</td><td>0</td>" in results._repr_html_()
    assert results[1].words == ("c",)


def test_what_users_and_servers_say_is_escaped() -> None:
    text = "<script>alert(1)</script>"
    results = show_by(WordsTask(), {}, None, Results([words(text)]), [text])
    shown = results._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2


def test_a_long_table_is_cut_and_says_so() -> None:
    shown = show_by(WordsTask(), {}, None, words("word " * 1234))._repr_html_()
    assert shown.count("<tr>") == 21
    assert "the first 20 of 1,234 rows" in shown


def test_a_picture_is_drawn_when_it_is_shown_of_as_many_as_fit() -> None:
    task, texts = Drawn(), ["a", "b", "c"]
    results = show_by(task, {}, None, Results(map(words, texts)), texts)
    assert task.drawn == 0
    assert b64encode(b"a; b").decode() in results._repr_html_()
    assert task.drawn == 1


@pytest.mark.parametrize(("task", "units"), [(Undrawn(), ["a"]), (Drawn(), [])])
def test_without_matplotlib_or_the_unit_there_is_the_table_only(task: Any, units: Any) -> None:
    shown = show_by(task, {}, None, words("a"), units)._repr_html_()
    assert "<img" not in shown
    assert "<td>a</td>" in shown


def test_a_result_that_no_client_gave_has_no_html_and_neither_has_a_copy() -> None:
    assert words("a")._repr_html_() is None
    assert Results([1])._repr_html_() is None
    result = show_by(WordsTask(), {"secret": object}, None, words("a"), [open])
    for again in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert again.words == ("a",)
        assert again._repr_html_() is None


def test_arrays_are_short_in_a_repr() -> None:
    assert repr(words("a b")) == "Words(words=('a', 'b'), scores=float32[2])"


def test_results_are_a_list() -> None:
    assert Results([1, 2]) == [1, 2]
    assert repr(show_by(WordsTask(), {}, None, Results([1]))) == "[1]"
