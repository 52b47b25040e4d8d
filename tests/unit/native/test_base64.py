"""The native backend reads and writes base64 as Python does, and refuses what no encoder writes."""

from __future__ import annotations

import base64
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ALPHABET = string.ascii_letters + string.digits + "+/"


@settings(max_examples=60)
@given(st.binary(max_size=70))
def test_bytes_are_coded_and_decoded(drive: Any, data: bytes) -> None:
    coded = base64.b64encode(data).decode()
    assert drive("encode", data) == coded
    assert bytes.fromhex(drive("decode", coded)) == data


def canonical(text: str) -> bool:
    """Return True if an encoder writes this text."""
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except ValueError:
        return False


@settings(max_examples=150)
@given(st.text("AQgw+/=", max_size=9) | st.text(ALPHABET + "=-_ \n", max_size=12))
def test_only_what_an_encoder_writes_is_accepted(drive: Any, text: str) -> None:
    assert drive("decode", text).startswith("refused") is not canonical(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("QUJD\nREVG", r'character 4 is "\x0a"; only A to Z'),
        ("QUJD_w==", 'character 4 is "_"'),
        ("QQ==QQ==", 'character 2 is "="'),
        ("QUJ", "it has 3 characters; they must be a multiple of 4"),
        ("QR==", "character 1 has bits beyond the last byte"),
    ],
)
def test_a_refusal_has_the_position(drive: Any, text: str, why: str) -> None:
    assert why in drive("decode", text)
