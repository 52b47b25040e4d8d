"""A served MONAI bundle for people: scans and pictures in, label maps or classes out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, overload

import numpy as np

from naiad.applications.medical.bundle.kinds import KINDS, Kind
from naiad.applications.medical.bundle.scans import ScanLike, read_scan
from naiad.applications.medical.bundle.schema import (
    CLASSES_PARAMETER,
    COMPRESS,
    FILES_PARAMETER,
    KIND_PARAMETER,
    LABEL,
    LABELS,
    NAMES,
    OWN,
    PROBABILITIES,
    TASK_PARAMETER,
)
from naiad.client import Client, ModelClient
from naiad.client.model import notice_of
from naiad.client.ordered_map import ask_many
from naiad.core.schema import Array, Arrays
from naiad.errors import InvalidInput, ModelNotFound, NaiadError

if TYPE_CHECKING:
    from naiad.applications.medical.nifti import Volume


@dataclass(frozen=True, slots=True)
class About:
    """What a served bundle says of itself.

    Attributes:
        task: ``segmentation`` or ``classification``.
        kind: volumes or pictures, what it takes.
        image: name of the input tensor.
        prediction: name of the output tensor with the prediction.
        files: what the files of one scan are, in order; most bundles take one.
        classes: names of the classes of a classification, in order.
        notice: what every user must know of it, or "".
    """

    task: str
    kind: Kind[Any]
    image: str
    prediction: str
    files: tuple[str, ...]
    classes: tuple[str, ...]
    notice: str


@dataclass(frozen=True, slots=True)
class Label:
    """How much of a label there is.

    Attributes:
        number: the value in the label map, or the number of the map where there are several.
        name: what it stands for.
        size: its volume in ml; of a picture, its area in pixels.
    """

    number: int
    name: str
    size: float


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What each voxel of a scan, or pixel of a picture, belongs to.

    Attributes:
        kind: of the image: a volume or a picture.
        maps: label maps as NIfTI or PNG files, with the image's grid: one, or one per channel where
            labels may overlap.
        labels: those that were found, the background too.
    """

    kind: Kind[Any]
    maps: tuple[bytes, ...]
    labels: tuple[Label, ...]

    @property
    def unit(self) -> str:
        """Of the labels' sizes: ``ml`` or ``px``."""
        return self.kind.unit

    def array(self, number: int = 0) -> Array:
        """A label map: integers ``[x, y, z]``, or of a picture ``[rows, columns]``."""
        return self.kind.read_map(self.maps[number], f"maps[{number}]")

    def volume(self, number: int = 0) -> Volume:
        """A label map of a volume as an array with its affine; needs nibabel."""
        from naiad.applications.medical.nifti import read

        return read(self.maps[number], name=f"maps[{number}]")

    def save(self, path: Path | str) -> list[Path]:
        """Write the map to ``path``; of several maps, each with its number before the suffix."""
        path = Path(path)
        if len(self.maps) == 1:
            path.write_bytes(self.maps[0])
            return [path]
        stem, dot, suffix = path.name.partition(".")
        written = [path.with_name(f"{stem}_{n}{dot}{suffix}") for n in range(len(self.maps))]
        for one, data in zip(written, self.maps, strict=True):
            one.write_bytes(data)
        return written


@dataclass(frozen=True, slots=True)
class Classification:
    """What a scan shows.

    Attributes:
        label: the class with the highest probability.
        probabilities: of each class, by name.
        decision: what the bundle's own postprocessing ends with, such as a one-hot vector.
    """

    label: str
    probabilities: Mapping[str, float]
    decision: tuple[float, ...]


Answer: TypeAlias = Segmentation | Classification


class BundleClient:
    """Asks a served bundle.

    Example::

        with naiad.Client("localhost:8001") as client:
            bundle = BundleClient.find(client)
            answer = bundle.infer("scan.nii.gz")
            answer.save("scan_seg.nii.gz")
    """

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of.

        Raises:
            ModelNotFound: the server does not have it.
            InvalidInput: it is no bundle.
        """
        self.model = model
        self.about = _about(model)

    def __repr__(self) -> str:
        """The class and the server."""
        return f"BundleClient({self.model!r})"

    @classmethod
    def find(cls, client: Client, name: str | None = None) -> BundleClient:
        """The served bundle of that name; without one, the only one that is served.

        Raises:
            ModelNotFound: there is none, or there are several; names them.
        """
        if name is not None:
            return cls(client.model(name))
        # Not client.models(), which is for the server's own user.
        ready = {str(model["name"]) for model in client.statistics()["model_stats"]}
        bundles = [model for model in sorted(ready) if _task(client.config(model)) is not None]
        if len(bundles) != 1:
            some = f"several bundles are served, name one: {', '.join(bundles)}"
            none = "no bundle is served; serve one: naiad serve --bundle DIR"
            raise ModelNotFound(some if bundles else none)
        return cls(client.model(bundles[0]))

    def infer(
        self,
        scan: ScanLike | Sequence[ScanLike],
        *,
        compress: bool = True,
        timeout: float | None = None,
    ) -> Answer:
        """Segment or classify one scan.

        Args:
            scan: a NIfTI file, a folder or zip archive with a DICOM series, or a volume; for a
                bundle with several channels, one for each, in the order of ``about.files``; for
                one that takes pictures, a JPEG or PNG file.
            compress: whether label maps are gzipped; those of pictures are PNG files anyway.
            timeout: seconds, instead of the client's.

        Raises:
            InvalidInput: the scan cannot be read, or is refused; says why.
            NaiadError: as of `naiad.Client`.
        """
        one = isinstance(scan, str | bytes) or not isinstance(scan, Sequence)
        scans = [cast(ScanLike, scan)] if one else cast(Sequence[ScanLike], scan)
        files = [read_scan(scan) for scan in scans]
        request: dict[str, Any] = {self.about.image: np.array([*files, None], object)[:-1]}
        if self.about.task == "segmentation" and self.about.kind.gzips:
            request[COMPRESS] = np.array([compress])
        return self._answer(self.model.infer(request, timeout=timeout))

    @overload
    def infer_many(
        self,
        scans: Iterable[ScanLike | Sequence[ScanLike]],
        *,
        compress: bool = True,
        concurrency: int = 4,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Answer]: ...

    @overload
    def infer_many(
        self,
        scans: Iterable[ScanLike | Sequence[ScanLike]],
        *,
        compress: bool = True,
        concurrency: int = 4,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["return"],
    ) -> Iterator[Answer | NaiadError]: ...

    def infer_many(
        self,
        scans: Iterable[ScanLike | Sequence[ScanLike]],
        *,
        compress: bool = True,
        concurrency: int = 4,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Any]:
        """Ask about many scans, one per request; yields the answers in order, as they come.

        Args:
            scans: taken as they are needed, so there may be any number of them.
            compress: whether label maps are gzipped.
            concurrency: how many are with the server at once; each is in memory meanwhile.
            progress: show a progress bar on standard error.
            timeout: seconds per scan, instead of the client's.
            on_error: "raise" ends at the first scan that fails; "return" yields its error in its
                place and goes on.
        """
        return ask_many(
            lambda scan: self.infer(scan, compress=compress, timeout=timeout),
            scans,
            label=self.model.name,
            concurrency=concurrency,
            progress=progress,
            on_error=on_error,
        )

    def _answer(self, outputs: Arrays) -> Answer:
        about = self.about
        if about.task == "segmentation":
            tensors = (LABELS, NAMES, about.kind.sizes)
            found = zip(*(outputs[name].tolist() for name in tensors), strict=True)
            return Segmentation(
                about.kind,
                tuple(outputs[about.prediction]),
                tuple(Label(number, name.decode(), size) for number, name, size in found),
            )
        return Classification(
            outputs[LABEL][0].decode(),
            dict(zip(about.classes, outputs[PROBABILITIES].tolist(), strict=True)),
            tuple(outputs[about.prediction].tolist()),
        )


def _about(model: ModelClient) -> About:
    config = model.config()
    task = _task(config)
    if task is None:
        raise InvalidInput(f"model {model.name} is no bundle; serve one: naiad serve --bundle DIR")
    tensors = [t["name"] for side in ("input", "output") for t in config[side]]
    image, prediction = (name for name in tensors if name not in OWN)
    kind = _parameter(config, KIND_PARAMETER)
    return About(
        task=task,
        kind=next(known for known in KINDS if known.name == kind),
        image=image,
        prediction=prediction,
        files=tuple(json.loads(_parameter(config, FILES_PARAMETER) or "[]")),
        classes=tuple(json.loads(_parameter(config, CLASSES_PARAMETER) or "[]")),
        notice=notice_of(config),
    )


def _task(config: Mapping[str, Any]) -> str | None:
    return _parameter(config, TASK_PARAMETER)


def _parameter(config: Mapping[str, Any], name: str) -> str | None:
    return config.get("parameters", {}).get(name, {}).get("string_value")
