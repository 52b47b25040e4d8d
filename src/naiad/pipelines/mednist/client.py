"""MedNIST for people: image files in, their kinds out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

from naiad.client import ModelClient
from naiad.client.many import ask_many
from naiad.errors import InvalidInput, NaiadError
from naiad.pipelines.mednist.files import as_request, read_image
from naiad.pipelines.mednist.schema import CLASSES

ImageFile: TypeAlias = "Path | str | bytes"
"""A JPEG or PNG file: its path, or what is in it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Which of MedNIST's kinds one image is.

    Attributes:
        label: the best one.
        scores: probability of each kind, by name.
    """

    label: str
    scores: dict[str, float]

    @property
    def score(self) -> float:
        """The best kind's probability."""
        return self.scores[self.label]


class MedNistClient:
    """Asks a served ``mednist_class``; from ``client.mednist``, ``client`` being a `naiad.Client`.

    Example::

        with naiad.Client("localhost:8001") as client:
            for kind in client.mednist.infer(["a.jpeg", "b.jpeg"]):
                print(kind.label, kind.score)
    """

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model

    def __repr__(self) -> str:
        """The class and the server."""
        return f"MedNistClient({self.model!r})"

    def notice(self) -> str:
        """What every user must know of the served weights."""
        parameters = self.model.config().get("parameters", {})
        return str(parameters.get("notice", {}).get("string_value", ""))

    def infer(self, images: Sequence[ImageFile], *, timeout: float | None = None) -> list[Kind]:
        """Classify images in one request, a contact sheet of thousands if need be.

        One that is refused fails them all.

        Args:
            images: files by path, or the bytes of files.
            timeout: seconds, instead of the client's.

        Raises:
            InvalidInput: an image is none, or is too large; says which and why.
            NaiadError: as of `naiad.Client`.
        """
        if isinstance(images, (str, bytes, Path)):
            raise InvalidInput("images is one file; give a list of files")
        files = [image if isinstance(image, bytes) else read_image(Path(image)) for image in images]
        outputs = self.model.infer(as_request(files), timeout=timeout)
        return [
            Kind(label.decode(), dict(zip(CLASSES, scores, strict=True)))
            for label, scores in zip(outputs["OUTPUT0"], outputs["SCORES"].tolist(), strict=True)
        ]

    @overload
    def infer_many(
        self,
        images: Iterable[ImageFile],
        *,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Kind]: ...

    @overload
    def infer_many(
        self,
        images: Iterable[ImageFile],
        *,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["return"],
    ) -> Iterator[Kind | NaiadError]: ...

    def infer_many(
        self,
        images: Iterable[ImageFile],
        *,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Any]:
        """Classify many images, one per request; yields the results in order, as they come.

        Args:
            images: taken as they are needed, so there may be any number of them.
            concurrency: how many are with the server at once, which batches them.
            progress: show a progress bar on standard error.
            timeout: seconds per image, instead of the client's.
            on_error: "raise" ends at the first image that fails; "return" yields its error in its
                place and goes on.
        """
        return ask_many(
            lambda image: self.infer([image], timeout=timeout)[0],
            images,
            label=self.model.name,
            concurrency=concurrency,
            progress=progress,
            on_error=on_error,
        )
