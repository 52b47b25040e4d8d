"""Any error becomes text that can be sent to a gRPC client."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad import errors
from naiad.error_text import described, kind_of, message_of, sendable
from naiad.errors import InvalidInput, NaiadError, PipelineError, StoreError, Unavailable

PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
surrogates = st.characters(categories=["Cs"])


def encoded(text: str) -> int:
    """Return the encoded size of a gRPC status message."""
    return len(quote(text, safe=PLAIN))


@given(st.text(st.characters() | surrogates), st.integers(0, 2500))
def test_a_message_is_valid_and_short_and_cutting_it_again_changes_nothing(
    text: str, count: int
) -> None:
    sent = sendable(text * (1 + count))
    assert encoded(sent) <= 2500
    assert sent.encode().decode() == sent
    assert not any(unicodedata.category(char) == "Cc" for char in sent.replace("\n", ""))
    assert sendable(sent) == sent


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
def test_ordinary_text_is_sent_unchanged(text: str) -> None:
    assert sendable(text) == text


def test_a_message_that_is_cut_says_so() -> None:
    assert sendable("a" * 2500) == "a" * 2500
    assert sendable("a" * 2501) == "a" * 2440 + " ... (cut; it has 2501 bytes)"
    assert sendable("é" * 9000) == "é" * 406 + " ... (cut; it has 18000 bytes)"
    assert sendable("caf\udce9\x1b[2J") == r"caf\udce9\x1b[2J"


class Silent(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)


class _Meta(type):
    @property
    def __name__(cls) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise RuntimeError


class Nameless(Exception, metaclass=_Meta):
    pass


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "ValueError: no"),
        (SystemExit(), "SystemExit"),
        (Silent(), "Silent: its message cannot be read: SystemExit"),
        (Nameless("x"), "Nameless: x"),
        (KeyError("caf\udce9"), "KeyError: 'caf\\udce9'"),
    ],
)
def test_an_error_is_described_whatever_its_code_does(error: BaseException, text: str) -> None:
    assert described(error) == text


def test_an_error_of_a_derived_class_is_sent_as_naiads_own() -> None:
    class Mine(InvalidInput):
        code = "NONSENSE"

    assert kind_of(Mine("no")) is InvalidInput
    assert kind_of(StoreError("no")) is StoreError
    assert message_of(Mine("no")) == "no"
    for kind in (NaiadError, PipelineError, Unavailable, errors.MissingExtra):
        assert kind_of(kind.__new__(kind)) is kind
