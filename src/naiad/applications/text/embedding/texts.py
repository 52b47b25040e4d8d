"""Texts on the wire: BYTES tensors of UTF-8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from naiad.applications.text.embedding.schema import MAX_BYTES
from naiad.core.schema import Array
from naiad.errors import InvalidInput


def decode(tensor: Array, name: str) -> list[str]:
    """Return the texts of a BYTES tensor.

    Raises:
        InvalidInput: a text is not UTF-8 or too long; says which, and at which byte.
    """
    return [_text(raw, f"{name}[{number}]") for number, raw in enumerate(tensor.tolist())]


def encode(texts: Sequence[str], name: str) -> Array:
    """Return the BYTES tensor of some texts.

    Raises:
        InvalidInput: ``texts`` is a single text, or one of them is too long or cannot be encoded as
            UTF-8; says which.
    """
    if isinstance(texts, str | bytes):
        raise InvalidInput(f"{name} is a single text; give a list of texts")
    tensor = np.empty(len(texts), object)
    tensor[:] = [_utf8(text, f"{name}[{number}]") for number, text in enumerate(texts)]
    return tensor


def _utf8(text: str, place: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{place} cannot be encoded as UTF-8: {error.reason} at {error.start}"
        ) from None
    _refuse_long(raw, place)
    return raw


def _text(raw: bytes, place: str) -> str:
    _refuse_long(raw, place)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        at = error.start
        raise InvalidInput(f"{place} is not UTF-8: byte {at} is 0x{raw[at]:02x}") from None


def _refuse_long(raw: bytes, place: str) -> None:
    if len(raw) > MAX_BYTES:
        raise InvalidInput(f"{place} has {len(raw):,} bytes; it must be at most {MAX_BYTES:,}")
