"""The native backend and a worker encode messages the same way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naiad.error_text import sendable

texts = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=40)
@given(texts, st.integers(0, 1300), st.sampled_from(["a", "%", "é", "\n", "\x1b", "\x85", "𝄞"]))
def test_a_message_is_cut_and_escaped_as_a_worker_does(
    drive: Any, text: str, count: int, filling: str
) -> None:
    whole = text + count * filling + text
    assert drive("sendable", whole) == sendable(whole)


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        (b"caf\xe9", r"caf\xe9"),
        (b"\xc0\x80", r"\xc0\x80"),  # overlong
        (b"\xe0\x80\xaf", r"\xe0\x80\xaf"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),  # a surrogate
        (b"\xf4\x90\x80\x80", r"\xf4\x90\x80\x80"),  # beyond U+10FFFF
        (b"\xf0\x9d\x84", r"\xf0\x9d\x84"),  # cut short
        (b"a\x00b\x7f", r"a\x00b\x7f"),
    ],
)
def test_bytes_that_are_not_text_are_shown(drive: Any, wrong: bytes, shown: str) -> None:
    assert drive("sendable", wrong) == shown
