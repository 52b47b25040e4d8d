"""Error messages for the wire: valid text without control characters, short enough to arrive.

gRPC sends a status message in a header, percent-encoded: each byte that is not printable ASCII
takes three. Triton 2.51 sometimes loses messages of more than 8 KB, and always those of more than
16 KB. ``text.h`` has the same rules for errors in Triton's own process.
"""

from __future__ import annotations

from typing import Final

from naiad import errors
from naiad.errors import NaiadError

_MOST: Final = 2500  # bytes, percent-encoded
_RESERVED: Final = 60  # of these, for the note that the text was cut


def sendable(text: str) -> str:
    """Escape surrogates and control characters (except newlines), and cut a text that is too long.

    A cut text ends with a note of its length.
    """
    data = str.encode(text, "utf-8", "backslashreplace")
    parts: list[str] = []
    used = kept = 0
    # Every character takes at least one byte, so the rest would be cut in any case.
    for char in data[: 2 * _MOST].decode("utf-8", "ignore"):
        shown = _shown(char)
        used += _encoded_size(shown)
        if used > _MOST:
            return "".join(parts[:kept]) + f" ... (cut; it has {len(data)} bytes)"
        parts.append(shown)
        if used <= _MOST - _RESERVED:
            kept = len(parts)
    return "".join(parts)


def message_of(error: BaseException) -> str:
    """Return an error's message, ready to send; tolerate errors whose own code fails."""
    try:
        return sendable(str(error))
    except BaseException as failure:
        return f"its message cannot be read: {class_name(failure)}"


def described(error: BaseException) -> str:
    """Return an error's class and message, ready to send."""
    message = message_of(error)
    return sendable(f"{class_name(error)}: {message}" if message else class_name(error))


def kind_of(error: NaiadError) -> type[NaiadError]:
    """Return the class of :mod:`naiad.errors` that an error is, or is derived from."""
    return next(kind for kind in type(error).__mro__ if vars(errors).get(kind.__name__) is kind)


def class_name(error: BaseException) -> str:
    """Return the name of an error's class; a metaclass cannot change it."""
    return sendable(type.__dict__["__name__"].__get__(type(error)))


def _shown(char: str) -> str:
    code = ord(char)
    control = (code < 0x20 and char != "\n") or 0x7F <= code < 0xA0
    return f"\\x{code:02x}" if control else char


def _encoded_size(text: str) -> int:
    return sum(1 if 0x20 <= byte < 0x7F and byte != 0x25 else 3 for byte in text.encode())
