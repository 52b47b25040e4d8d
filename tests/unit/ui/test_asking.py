"""Questions under way: their turns, their end, and options as the form sends them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from naiad.errors import InvalidInput, NaiadError
from naiad.tasks.calls import Answer
from naiad.tasks.option_fields import option_fields, read_options

pytest.importorskip("gradio")

from naiad.ui.answers import _table
from naiad.ui.asking import Asking, Turns
from naiad.ui.forms import Question, _read, _shown

PATIENCE = 20.0


class Call:
    """A call whose answers come one by one, when the test lets them."""

    task = SimpleNamespace(name="slow", unit="texts")

    def __init__(self) -> None:
        self.go, self.closed = Event(), Event()
        self.request_id = ""

    def ask(self, options: Any, *, request_id: str, **_: Any) -> Generator[Answer]:
        self.request_id = request_id
        try:
            for number in range(3):
                assert self.go.wait(PATIENCE)
                yield Answer(f"text {number}", Path("-"), number)
        finally:
            self.closed.set()


def asking(call: Any, turns: Turns) -> Asking:
    return Asking(call, Question(("a",), (), slice(None), None), turns)


def test_a_question_is_answered_under_its_own_id() -> None:
    call = Call()
    call.go.set()
    one = asking(call, Turns())
    assert one.finished.wait(PATIENCE)
    assert (one.error, [answer.number for answer in one.found]) == (None, [0, 1, 2])
    assert call.request_id == one.question.request_id
    assert Question((), (), slice(None), None).request_id != call.request_id


def test_a_stopped_question_asks_no_more() -> None:
    call = Call()
    one = asking(call, Turns())
    one.stop()
    call.go.set()
    assert one.finished.wait(PATIENCE)
    assert call.closed.is_set()
    assert one.found == []


def test_questions_wait_for_their_turn_and_too_many_are_refused() -> None:
    turns, first, second = Turns(running=1, waiting=1), Call(), Call()
    one = asking(first, turns)
    while not first.request_id:
        pass
    others = [asking(second, turns) for _ in range(2)]
    while not any(other.finished.is_set() for other in others):
        pass
    refused, waits = sorted(others, key=lambda other: not other.finished.is_set())
    assert isinstance(refused.error, NaiadError)
    assert "too many questions" in str(refused.error)
    waits.stop()
    assert waits.finished.wait(PATIENCE)  # before the first has ended
    assert (waits.error, waits.found) == (None, [])
    first.go.set()
    assert one.finished.wait(PATIENCE)
    assert len(one.found) == 3


@dataclass(frozen=True)
class Options:
    tolerance: float | None = field(default=None, metadata={"help": "In mm.", "min": 0.0})
    number: int | None = field(default=None, metadata={"help": "Of them."})
    top: int = field(default=3, metadata={"help": "Of them."})


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (("", "", 3), Options()),
        ((None, None, None), Options()),
        (("0", "0", 0), Options(0.0, 0, 0)),
        ((" 0.25 ", "12", 1.0), Options(0.25, 12, 1)),
    ],
)
def test_an_option_without_a_value_is_not_zero(sent: tuple[Any, ...], read: Options) -> None:
    known = option_fields(Options)
    assert [_shown(one) for one in known] == ["", "", 3]
    plain: dict[str, Any] = {}
    for one, value in zip(known, sent, strict=True):
        plain |= _read(one, value, False)
    assert read_options(Options, plain) == read


@pytest.mark.parametrize("text", ["half", "nan", "1e999"])
def test_a_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"tolerance is .*; it must be of type number"):
        read_options(Options, _read(option_fields(Options)[0], text, False))


def test_links_are_links_and_all_else_is_text() -> None:
    from naiad.tasks.task import Column

    columns = (Column("title", doc="of it"), Column("link", doc="to it"))
    rows = [
        {"title": "*<b>*", "link": 'https://example.org/?a=1&b="><script>'},
        {"title": "b", "link": "<i>none</i>"},
        {"title": "c", "link": None},
    ]
    table = _table(columns, rows)
    assert table["datatype"] == ["str", "html"]
    (title, link), (_, other), (_, empty) = table["value"]["data"]
    assert title == "*<b>*"
    shown = "https://example.org/?a=1&amp;b=&quot;&gt;&lt;script&gt;"
    assert link == f'<a href="{shown}" target="_blank" rel="noopener noreferrer">{shown}</a>'
    assert (other, empty) == ("&lt;i&gt;none&lt;/i&gt;", "")
