"""Full-text search of films: their words, ranked by BM25.

The index is in the memory of each process: 8 bytes per different word of a film, and the words. The
public graph of 9,027 films takes 4 MB and 22,915 words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from naiad.applications.movies.names import words
from naiad.core.schema import Array
from naiad.errors import MissingExtra

try:
    import bm25s
    import Stemmer
    from bm25s import stopwords
except ImportError as error:
    raise MissingExtra("movies", "bm25s") from error

_MOST_WORDS: Final = 64  # different words of a question

# Words that say nothing of a film, and that most descriptions have.
_IGNORED: Final = frozenset({*stopwords.STOPWORDS_EN_PLUS, "film", "films", "movie", "movies"})


class FullText:
    """An index of texts.

    Args:
        texts: the key and the text of each film.
    """

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        self._stemmer: Any = Stemmer.Stemmer("english")
        self._index: Any = bm25s.BM25()
        self._keys: list[str] = []
        stems: dict[str, str] = {}  # stemming each word once takes a tenth of the time
        documents: list[list[str]] = []
        for key, text in texts:
            self._keys.append(key)
            found = words(text).split()
            new = [word for word in found if word not in stems]
            stems |= zip(new, self._stemmer.stemWords(new), strict=True)
            documents.append([stems[word] for word in found])
        self._empty = not any(documents)
        if not self._empty:
            self._index.index(documents, show_progress=False)

    def scores(self, question: str, limit: int) -> dict[str, float]:
        """Return the films that have a word of a question, at most ``limit``, the best first.

        The score is BM25, above 0. Words that most texts have, such as ``the``, are ignored, unless
        there is no other; of a long question the first 64 different words are taken.
        """
        sent = question.encode("utf-8", "ignore").decode()  # lone surrogates are no words
        given = list(dict.fromkeys(words(sent).split()))
        sought = [word for word in given if word not in _IGNORED] or given
        if self._empty or not sought:
            return {}
        found: Array = self._index.get_scores(self._stemmer.stemWords(sought[:_MOST_WORDS]))
        hits = np.flatnonzero(found > 0)
        if len(hits) > limit:
            least = np.partition(found[hits], -limit)[-limit]
            hits = hits[found[hits] >= least]
        order = hits[np.argsort(-found[hits], kind="stable")][:limit]
        return {self._keys[row]: float(found[row]) for row in order.tolist()}
