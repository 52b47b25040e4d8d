"""The kinds of likeness of films."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

Likeness: TypeAlias = Literal["all", "description", "ratings", "genre", "director", "cast", "title"]
"""A kind of likeness; ``title`` is that of a title to a text."""
LIKENESSES: Final[tuple[Likeness, ...]] = get_args(Likeness)
"""The kinds of likeness; the first is the default."""
HELP: Final = "Kind of likeness; by title, the text is the beginning of a title, or close to it."
