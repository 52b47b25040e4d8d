"""What the three models of films take and give."""

from __future__ import annotations

from typing import Final

from naiad.applications.movies.catalogue import MOST
from naiad.core.schema import BYTES, REQUESTS, Schema, Tensor

_K: Final[Schema] = {
    "k": Tensor(
        "int32",
        (REQUESTS,),
        optional=True,
        default=10,
        minimum=0,
        maximum=MOST,
        doc="how many films are wanted; 10 where it is left out, 0 to see whether it answers",
    ),
}

SIMILAR_INPUTS: Final[Schema] = {
    "movie": Tensor(BYTES, (REQUESTS,), doc="title, `title (year)` or id of a film, UTF-8"),
    **_K,
}

SEARCH_INPUTS: Final[Schema] = {
    "text": Tensor(BYTES, (REQUESTS,), doc="what the film is about, UTF-8"),
    **_K,
    "genre": Tensor(
        BYTES, (REQUESTS,), optional=True, default=b"", doc="only films of it; empty for all"
    ),
    "first_year": Tensor(
        "int32", (REQUESTS,), optional=True, default=0, doc="only films from then on; 0 for all"
    ),
    "last_year": Tensor(
        "int32", (REQUESTS,), optional=True, default=0, doc="only films until then; 0 for all"
    ),
}

RECOMMEND_INPUTS: Final[Schema] = {
    "user": Tensor(BYTES, (REQUESTS,), doc="id of a user, UTF-8"),
    **_K,
}

OUTPUTS: Final[Schema] = {
    "id": Tensor(BYTES, ("results",), doc="key of each film, the best first"),
    "title": Tensor(BYTES, ("results",), doc="UTF-8"),
    "year": Tensor("int32", ("results",), doc="0 where it is not known"),
    "score": Tensor("float32", ("results",), doc="the larger, the better"),
    "why": Tensor(
        BYTES, ("results",), doc="JSON: people, genres and liked films, users (a number)"
    ),
    "about": Tensor(BYTES, (REQUESTS,), doc="what the films are for, in words"),
    "notice": Tensor(BYTES, (REQUESTS,), doc="what everybody must know who uses these films"),
}
