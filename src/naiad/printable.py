"""Texts of others made fit to be printed, drawn and encoded: names of files, labels, messages."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape surrogates and control characters, except newlines and tabs."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char) for char in encodable(text))


def encodable(text: str) -> str:
    """Escape surrogates, which no encoding accepts.

    Python puts them into the names of files that are not UTF-8: the byte 0xe9 becomes ``\\udce9``.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _shown(char: str) -> str:
    code = ord(char)
    control = (code < 0x20 and char not in "\n\t") or 0x7F <= code < 0xA0
    return f"\\x{code:02x}" if control else char
