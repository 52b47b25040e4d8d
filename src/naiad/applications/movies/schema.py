"""The inputs and outputs of the three film models."""

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
        doc="number of films; 10 if omitted, 0 to test whether the model answers",
    ),
}

SIMILAR_INPUTS: Final[Schema] = {
    "movie": Tensor(BYTES, (REQUESTS,), doc="title, `title (year)` or id of a film, UTF-8"),
    **_K,
    "by": Tensor(
        BYTES,
        (REQUESTS,),
        optional=True,
        default=b"all",
        doc="likeness: all, description, ratings, genre, director, cast or title",
    ),
}

SEARCH_INPUTS: Final[Schema] = {
    "text": Tensor(BYTES, (REQUESTS,), doc="description of the film, UTF-8"),
    **_K,
    "genre": Tensor(
        BYTES,
        (REQUESTS,),
        optional=True,
        default=b"",
        doc="only films of this genre; empty for all",
    ),
    "first_year": Tensor(
        "int32",
        (REQUESTS,),
        optional=True,
        default=0,
        doc="only films from this year on; 0 for all",
    ),
    "last_year": Tensor(
        "int32", (REQUESTS,), optional=True, default=0, doc="only films up to this year; 0: all"
    ),
    "director": Tensor(
        BYTES,
        (REQUESTS,),
        optional=True,
        default=b"",
        doc="only films of this director, a name; empty for all",
    ),
    "actor": Tensor(
        BYTES,
        (REQUESTS,),
        optional=True,
        default=b"",
        doc="only films with this actor, a name; empty for all",
    ),
}

RECOMMEND_INPUTS: Final[Schema] = {
    "user": Tensor(BYTES, (REQUESTS,), doc="id of a user, UTF-8"),
    **_K,
}

OUTPUTS: Final[Schema] = {
    "id": Tensor(BYTES, ("results",), doc="key of each film, the best first"),
    "title": Tensor(BYTES, ("results",), doc="UTF-8"),
    "year": Tensor("int32", ("results",), doc="0 if unknown"),
    "score": Tensor("float32", ("results",), doc="higher is better"),
    "why": Tensor(
        BYTES, ("results",), doc="JSON: people, genres and liked films, users (a number)"
    ),
    "about": Tensor(BYTES, (REQUESTS,), doc="the question, in words"),
    "notice": Tensor(BYTES, (REQUESTS,), doc="notice to users of these films"),
}
