"""Image classification for people: files in, labels out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

from naiad.applications.image.files import as_request, read_image
from naiad.client import ModelClient
from naiad.client.ordered_map import ask_many
from naiad.core.schema import Arrays
from naiad.errors import InvalidInput, NaiadError

ImageFile: TypeAlias = "Path | str | bytes"
"""A JPEG or PNG file: its path, or what is in it."""


@dataclass(frozen=True, slots=True)
class Classification:
    """The best classes of one image, the best first.

    Attributes:
        labels: their names.
        scores: their probabilities.
        classes: their numbers, from 0.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    classes: tuple[int, ...]

    @property
    def label(self) -> str:
        """The best class's name."""
        return self.labels[0]

    @property
    def score(self) -> float:
        """The best class's probability."""
        return self.scores[0]


class ImageClient:
    """Asks a served image classifier; from ``client.image``, where ``client`` is a `naiad.Client`.

    Example::

        with naiad.Client("localhost:8001") as client:
            for found in client.image.infer(["cat.jpg", "dog.png"], top=3):
                print(found.label, found.score)
    """

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model

    def __repr__(self) -> str:
        """The class and the server."""
        return f"ImageClient({self.model!r})"

    def notice(self) -> str:
        """What every user must know of the served network, or ""."""
        return self.model.notice()

    def infer(
        self, images: Sequence[ImageFile], *, top: int = 5, timeout: float | None = None
    ) -> list[Classification]:
        """Classify some images in one request; one that is refused fails them all.

        Args:
            images: files by path, or the bytes of files.
            top: how many classes are wanted of each.
            timeout: seconds, instead of the client's.

        Raises:
            InvalidInput: an image is none, or is too large; says which and why.
            NaiadError: as of `naiad.Client`.
        """
        if isinstance(images, (str, bytes, Path)):
            raise InvalidInput("images is one file; give a list of files")
        files = [_content(image) for image in images]
        return _results(self.model.infer(as_request(files, top), timeout=timeout))

    @overload
    def infer_many(
        self,
        images: Iterable[ImageFile],
        *,
        top: int = 5,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Classification]: ...

    @overload
    def infer_many(
        self,
        images: Iterable[ImageFile],
        *,
        top: int = 5,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["return"],
    ) -> Iterator[Classification | NaiadError]: ...

    def infer_many(
        self,
        images: Iterable[ImageFile],
        *,
        top: int = 5,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Any]:
        """Classify many images, one per request; yields the results in order, as they come.

        Args:
            images: taken as they are needed, so there may be any number of them.
            top: how many classes are wanted of each.
            concurrency: how many are with the server at once, which batches them.
            progress: show a progress bar on standard error.
            timeout: seconds per image, instead of the client's.
            on_error: "raise" ends at the first image that fails; "return" yields its error in its
                place and goes on.
        """
        return ask_many(
            lambda image: self.infer([image], top=top, timeout=timeout)[0],
            images,
            label=self.model.name,
            concurrency=concurrency,
            progress=progress,
            on_error=on_error,
        )


def _content(image: ImageFile) -> bytes:
    return image if isinstance(image, bytes) else read_image(Path(image))


def _results(outputs: Arrays) -> list[Classification]:
    rows = zip(outputs["labels"], outputs["scores"], outputs["classes"], strict=True)
    return [
        Classification(
            tuple(label.decode() for label in labels),
            tuple(scores.tolist()),
            tuple(classes.tolist()),
        )
        for labels, scores, classes in rows
    ]
