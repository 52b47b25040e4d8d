"""The task of ``image``: image files in, labels out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

from naiad.application import Application
from naiad.applications.image.schema import MAX_BYTES, SHAPES, as_request
from naiad.core.schema import Arrays
from naiad.image_formats import SUFFIXES
from naiad.tasks.notebook import Shown
from naiad.tasks.output import save_files
from naiad.tasks.reports import LabelReport
from naiad.tasks.task import (
    Advance,
    Column,
    Draws,
    Found,
    ImportsWeights,
    Report,
    Reports,
    Simulates,
    Task,
)
from naiad.tasks.views import Scores

_FEW: Final = 9  # up to this number, images are printed with a bar for each class


@dataclass(frozen=True)
class Classification(Shown):
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


class ImageTask(
    Task[bytes, Classification],
    Reports,
    Draws,
    Simulates[bytes],
    ImportsWeights,
    Scores[Classification],
):
    """Classify images with a served network.

    Files are sent as they are; the server decodes them.

    [bold]Examples[/]

      naiad infer image photo.jpg --top 3
      naiad infer image photos/ more.png -o labels.csv --plot sheet.png
      naiad infer image photo.jpg --local --weights my-classifier/
    """

    name = "image"
    summary = "what is on pictures, by any ONNX or TorchScript classifier"
    pipeline = "naiad.applications.image.pipeline:ImageClassifier"
    packages = ("torch", "PIL", "safetensors")

    unit, suffixes, example = "images", SUFFIXES, "photos/"
    max_bytes, listed = MAX_BYTES, True
    columns = (
        Column("file", fill="unit"),
        Column("rank", "int32", "1 for the best class"),
        Column("label", doc="name of the class"),
        Column("class", "int32", "number of the class, from 0"),
        Column("score", "float32", "probability of the class"),
    )
    most = 200
    simulated, simulated_output, simulated_number = "pictures", "shapes", 20

    @dataclass(frozen=True)
    class Options:
        """Options of a request."""

        top: int = field(
            default=5, metadata={"help": "Number of classes to list, the best first.", "min": 1}
        )

    @dataclass(frozen=True)
    class ImportOptions:
        """Properties of a network that its file does not state."""

        labels: Path = field(
            metadata={
                "help": "Text file with a label per line, in the order of the classes.",
                "metavar": "FILE",
            }
        )
        scaling: Literal["inception", "imagenet", "unit", "vgg", "none"] = field(
            metadata={
                "help": "Scaling of pixels in training. inception: to -1 to 1; imagenet: by mean "
                "and standard deviation, as torchvision's networks; unit: to 0 to 1; vgg: less "
                "the mean."
            }
        )
        size: int | None = field(
            default=None,
            metadata={
                "help": "Height and width in pixels, where the file does not tell.",
                "min": 1,
            },
        )
        layout: Literal["NCHW", "NHWC"] | None = field(
            default=None,
            metadata={"help": "Layout of the input, where the file does not tell; else NCHW."},
        )
        crop: float | None = field(
            default=None,
            metadata={
                "help": "Use this part of the middle, as 0.875; by default the whole picture, "
                "squeezed."
            },
        )
        notice: str = field(
            default="",
            metadata={"help": "What users of the weights must know; goes wherever they go."},
        )

    def request(self, unit: bytes, options: Options) -> Arrays:
        """Return one image as a request."""
        return as_request([unit], options.top)

    def answer(self, unit: bytes, outputs: Arrays, card: Any) -> Classification:
        """Return the best classes of one image."""
        labels, scores, classes = (outputs[name][0] for name in ("labels", "scores", "classes"))
        return Classification(
            tuple(label.decode() for label in labels),
            tuple(scores.tolist()),
            tuple(classes.tolist()),
        )

    def rows(self, result: Classification) -> Iterator[Sequence[object]]:
        """Yield a row per class."""
        ranked = zip(result.labels, result.classes, result.scores, strict=True)
        for rank, (label, number, score) in enumerate(ranked, start=1):
            yield rank, label, number, score

    def scores(self, result: Classification) -> dict[str, float]:
        """Return the probabilities of the best classes."""
        return dict(zip(result.labels, result.scores, strict=True))

    def report(self, count: int, card: Any, options: Any) -> Report:
        """Return a report with bars for a few images, or with a line for each of many."""
        from naiad.applications.image.report import BarReport

        return BarReport() if count <= _FEW else LabelReport(self.unit)

    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        """Draw images with their best classes on one page."""
        from naiad.applications.image.sheet import draw

        draw(found, path, card.get("notice", ""))

    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, bytes]]:
        """Draw pictures of simple shapes, to try image classification with.

        The network that comes with Naiad knows these and nothing else. A
        picture's name says what it shows.

        [bold]Example[/]

          naiad simulate image -n 50 -o shapes --seed 7
        """
        import numpy as np

        from naiad.applications.image.shapes import draw

        rng = np.random.default_rng(seed)
        digits = len(str(number - 1))
        for count in range(number):
            shape = SHAPES[int(rng.integers(len(SHAPES)))]
            file = BytesIO()
            draw(shape, rng).save(file, "JPEG", quality=90)
            yield f"{count:0{digits}}-{shape}.jpg", file.getvalue()

    def save(self, units: Iterator[tuple[str, bytes]], path: Path, advance: Advance) -> None:
        """Write a file for each picture."""
        save_files(units, path, advance)

    @classmethod
    def simulated_requests(cls, number: int, seed: int) -> Iterator[Arrays]:
        """Yield requests for pictures as large as photographs on the web."""
        from naiad.applications.image.shapes import simulated_requests

        return simulated_requests(number, seed)

    def import_weights(self, source: Path, output: Path, options: ImportOptions) -> Iterable[str]:
        """Import a classifier in ONNX or TorchScript with its labels.

        The network is tried before anything is kept. TorchScript is a
        program: take such files only from those you trust.

        [bold]Examples[/]

          naiad weights import image resnet.onnx --labels imagenet.txt --scaling imagenet -o resnet/
          naiad weights import image net.pt --labels l.txt --scaling unit --size 224 -o net/
          naiad serve image --weights resnet/
        """
        from naiad.applications.image.card import SCALINGS
        from naiad.applications.image.importing import import_network

        card, names = import_network(
            source,
            options.labels,
            output,
            scaling=SCALINGS[options.scaling],
            size=None if options.size is None else (options.size, options.size),
            layout=options.layout,
            crop=options.crop,
            notice=options.notice,
        )
        wanted = card.preprocessing
        yield (
            f"{len(names):,} classes, {wanted.width} x {wanted.height} pixels, {wanted.layout}, "
            f"gives {card.output}"
        )


class InceptionGraphDef(Application):
    """The same classifiers by the contract of Triton's image clients."""

    name = "inception_graphdef"
    summary = "the same classifiers under the contract of Triton's image clients"
    pipeline = "naiad.applications.image.inception:InceptionGraphDef"
    packages = ("torch", "safetensors")
    on_request = True
