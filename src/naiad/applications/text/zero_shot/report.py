"""Terminal report on labels of texts."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from rich.text import Text

from naiad.applications.text.zero_shot.schema import SIMILARITY
from naiad.applications.text.zero_shot.task import Classification
from naiad.console import bar, complain, output, print_bars, say, shortened
from naiad.tasks.task import Found

_FEW: Final = 10  # up to this number of texts, each is printed with bars; else on one line
_SHORT_BAR: Final = 12
UNREAD: Final = 0.5
"""Share of a text's letters from which on it is in a language that the network does not read.

Of texts in Latin letters, all-MiniLM-L6-v2 lacks up to 0.2, of Chinese 0.6, of others 0.7 to 1."""

_OPINIONS: Final = frozenset(
    {"positive", "negative", "good", "bad", "happy", "unhappy", "sad", "angry", "satisfied"}
    | {"dissatisfied", "love", "hate", "joy", "anger", "fear", "praise", "complaint"}
)


class LabelsReport:
    """A `Report` with bars for each label of a few texts; a line for each of many, and counts."""

    def __init__(self, count: int, top: int, card: Any) -> None:
        """Begin without texts; ``top`` labels of each will have bars. ``card`` is the model's."""
        self._count, self._top, self._card = count, top, card
        self._found: list[tuple[str, Classification]] = []

    def add(self, found: Found) -> None:
        """Take one more text."""
        self._found.append((shortened(found.name), found.result))

    def print(self, seconds: float) -> None:
        """Print all texts."""
        few = self._count <= _FEW
        for text, found in self._found:
            if few:
                output.print(Text(text, "bold"), soft_wrap=True)
                print_bars(found.labels[: self._top], found.scores[: self._top])
            else:
                output.print(_line(text, found), soft_wrap=True)
        if not few:
            counts = Counter(found.label for _, found in self._found)
            listed = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
            say(f"{len(self._found):,} texts: {listed}")
        truncated = sum(found.truncated for _, found in self._found)
        if truncated:
            say(f"{truncated:,} texts were too long; only their beginning was read")
        unread = sum(found.unread >= UNREAD for _, found in self._found)
        if unread:
            complain(
                f"the network has no words for most letters of {unread:,} of "
                f"{len(self._found):,} texts: it does not read their language, and their scores "
                "mean nothing"
            )
        if self._card.get("method") == SIMILARITY and any(
            len(_OPINIONS.intersection(map(str.casefold, found.labels))) > 1
            for _, found in self._found
        ):
            complain(
                "the network compares topics, and often misses whether a text is for or against; "
                "for opinions serve a network for entailment or a GLiClass"
            )


def _line(text: str, found: Classification) -> Text:
    line = Text(f"{bar(found.score, _SHORT_BAR):{_SHORT_BAR}} ", "green")
    line.append(f"{found.score:.3f}  ", "default").append(found.label, "bold default")
    return line.append(f"  {text}", "dim")
