"""Units are read from inputs one way, whoever asks about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from naiad.errors import InvalidInput, NaiadError
from naiad.tasks.sources import Input
from naiad.tasks.units import Unit, joined, read_parts, unread


class Pages:
    """A source of words, of which one cannot be read."""

    def __init__(self, words: Sequence[Any]) -> None:
        self._words = words

    def __len__(self) -> int:
        return len(self._words)

    def read(self, numbers: range) -> Iterator[tuple[str, Any]]:
        for number in numbers:
            yield f"word {number}", self._words[number]

    def close(self) -> None:
        pass


class Words:
    """A task whose units are words, joined if they are equally long."""

    unit = "words"

    def join(self, parts: Sequence[str]) -> str:
        if len({*map(len, parts)}) > 1:
            raise InvalidInput(f"lengths differ: {', '.join(parts)}")
        return "".join(parts)


BOOK = Input(Path("book"), Path("book"))
TASK: Any = Words()


def parts(*words: Any) -> Iterator[Unit]:
    return read_parts(BOOK, Pages(words), range(len(words)))


def test_a_unit_has_its_place_or_its_error():
    bad = InvalidInput("torn")
    good, torn, broken = parts("a", bad, ValueError("burnt"))
    assert (good.value, good.name, good.path, good.number) == ("a", "word 0", Path("book"), 0)
    assert (torn.error, torn.number, torn.value) == (bad, 1, None)
    assert isinstance(broken.error, InvalidInput)
    missing = unread(BOOK, NaiadError("no such file"))
    assert (missing.name, str(missing.error)) == ("book", "no such file")


def test_parts_are_joined_and_fail_together():
    bad = InvalidInput("torn")
    found = [*joined(TASK, parts("ab", "cd", "e", bad, "fg", "h", "i"), 2)]
    assert [one.value for one in found] == ["abcd", None, None, None]
    assert [one.number for one in found] == [0, 3, 4, 6]
    assert [None, bad] == [one.error for one in found[:2]]
    assert "lengths differ: fg, h" in str(found[2].error)
    assert found[2].name == "word 4, word 5"
    assert "1 of the 2 files that make one word" in str(found[3].error)


def test_a_unit_of_all_of_an_input_has_its_name():
    assert next(joined(TASK, parts("ab", "cd"), 2)).name == "book"
    assert [one.name for one in joined(TASK, parts("a", "b"), 1)] == ["word 0", "word 1"]
