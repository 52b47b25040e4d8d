"""The letters of a text that a tokenizer has no words or parts of words for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from typing import Any
from unicodedata import east_asian_width


def unread(text: str, encoding: Any, unknown: Set[int]) -> float:
    """Return the share of a text's letters that its tokens tell a network nothing of, 0 to 1.

    A letter counts if its token is unknown, or if it has several tokens (its bytes), or if it is a
    token by itself within a longer word. The last does not hold for wide letters, as of Chinese,
    which are words or syllables. Of a text without letters, unknown tokens count.

    Args:
        text: the text.
        encoding: its encoding by the tokenizers library.
        unknown: ids of unknown tokens.
    """
    words = Counter(encoding.word_ids)
    of: dict[int, list[tuple[int, bool]]] = {}  # by letter: id of each token, and if it is alone
    for token, word, (start, end) in zip(
        encoding.ids, encoding.word_ids, encoding.offsets, strict=True
    ):
        inside = [place for place in range(start, end) if text[place].isalpha()]
        alone = len(inside) == 1 and words[word] > 1
        for place in inside:
            of.setdefault(place, []).append((token, alone))
    missed = sum(
        len(tokens) > 1
        or tokens[0][0] in unknown
        or (tokens[0][1] and east_asian_width(text[place]) not in "WF")
        for place, tokens in of.items()
    )
    if of:
        return missed / len(of)
    return sum(token in unknown for token in encoding.ids) / max(len(encoding.ids), 1)
