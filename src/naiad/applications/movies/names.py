"""Names as people type them: without regard to case, accents, punctuation and articles."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

ARTICLES: Final = (
    *("the", "a", "an", "le", "la", "les", "l", "un", "une", "el", "los", "las", "una"),
    *("il", "lo", "gli", "der", "die", "das", "ein", "eine", "det", "den"),
)
"""Articles that sort after a title, as in ``Matrix, The``."""

# Not "die" and the like, which begin titles of other languages too: `Die Hard`.
_LEADING = frozenset(
    {"the", "a", "an", "le", "la", "les", "el", "los", "las", "il", "lo", "gli", "der", "das"}
)
# Letters that have no decomposition into a letter and an accent.
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "þ": "th"}
)
_ACCENTS = re.compile("[\u0300-\u036f]")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ`´.](?=\w)|[’'ʼ`´]")
_PUNCTUATION = re.compile(r"[\W_]+")
_APOSTROPHE = ("'", "’")
_SORTED = re.compile(rf"(.+), ({'|'.join(ARTICLES)}|l['’])", re.IGNORECASE)


def words(name: str) -> str:
    """Return a name's words: lower case, without accents and punctuation.

    ``Amélie`` is ``amelie``, ``WALL·E`` is ``wall e``, ``Ocean’s Eleven`` is ``oceans eleven``. A
    name without a letter or digit stays, without regard to spacing.
    """
    plain = name.casefold().replace("&", " and ")
    if not plain.isascii():
        folded = unicodedata.normalize("NFKD", plain).casefold().translate(_LETTERS)
        plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", folded))
        plain = unicodedata.normalize("NFC", plain)  # marks that are no accents
    found = _PUNCTUATION.sub(" ", _APOSTROPHES.sub("", plain)).split()
    return " ".join(found or name.split())


def without_articles(words: str) -> str:
    """Return words without an article at the beginning, and without spaces.

    ``Spider-Man``, ``Spider Man`` and ``Spiderman`` are the same.
    """
    found = words.split()
    if len(found) > 1 and found[0] in _LEADING:
        found = found[1:]
    return "".join(found)


def article_first(title: str) -> str:
    """Return ``The Matrix`` for ``Matrix, The``."""
    found = _SORTED.fullmatch(title) if ", " in title else None
    if not found:
        return title
    return f"{found[2]}{'' if found[2].endswith(_APOSTROPHE) else ' '}{found[1]}"
