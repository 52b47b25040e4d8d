"""Client of a served MONAI bundle: scans and pictures in, label maps or classes out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from naiad.applications.medical.bundle.kinds import KINDS, VOLUME, Kind
from naiad.applications.medical.bundle.schema import (
    CLASSES_PARAMETER,
    FILES_PARAMETER,
    INPUT_PARAMETER,
    KIND_PARAMETER,
    TASK_PARAMETER,
)
from naiad.client import Client, ModelClient
from naiad.core.schema import Array
from naiad.errors import InvalidInput, ModelNotFound
from naiad.tasks.client import TaskClient

if TYPE_CHECKING:
    from naiad.applications.medical.nifti import Volume


@dataclass(frozen=True, slots=True)
class About:
    """Model card of a served bundle.

    Attributes:
        task: ``segmentation`` or ``classification``.
        kind: of its inputs: volumes or pictures.
        image: name of the input tensor.
        files: names of the files of a scan, in order; most bundles take one.
        classes: names of the classes of a classification, in order.
        notice: what every user must know of it, or "".
    """

    task: str
    kind: Kind[Any]
    image: str
    files: tuple[str, ...]
    classes: tuple[str, ...]
    notice: str


@dataclass(frozen=True, slots=True)
class Label:
    """Size of a label in a scan.

    Attributes:
        number: the value in the label map, or the number of the map if there are several.
        name: its meaning.
        size: its volume in ml; in a picture, its area in pixels.
    """

    number: int
    name: str
    size: float


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Label maps of a scan or picture.

    Attributes:
        kind: of the image: a volume or a picture.
        maps: label maps as NIfTI or PNG files with the image's grid: one, or one per channel if
            labels may overlap.
        labels: the labels found, with the background.
    """

    kind: Kind[Any]
    maps: tuple[bytes, ...]
    labels: tuple[Label, ...]

    @property
    def unit(self) -> str:
        """Unit of the labels' sizes: ``ml`` or ``px``."""
        return self.kind.unit

    def array(self, number: int = 0) -> Array:
        """Return a label map: integers ``[x, y, z]``, or ``[rows, columns]`` for a picture."""
        return self.kind.read_map(self.maps[number], f"maps[{number}]")

    def volume(self, number: int = 0) -> Volume:
        """Return a label map of a volume, as an array with its affine; needs nibabel."""
        from naiad.applications.medical.nifti import read

        return read(self.maps[number], name=f"maps[{number}]")

    def save(self, path: Path | str) -> list[Path]:
        """Write the map to ``path``; several maps have their number before the suffix."""
        path = Path(path)
        stem, dot, suffix = path.name.partition(".")
        written = [path.with_name(name) for name, _ in self.files(stem, f"{dot}{suffix}")]
        for one, data in zip(written, self.maps, strict=True):
            one.write_bytes(data)
        return written

    def files(self, stem: str, suffix: str) -> Iterator[tuple[str, bytes]]:
        """Yield the name and content of each map's file, as :meth:`save` names them."""
        for number, data in enumerate(self.maps):
            yield f"{stem}_{number}{suffix}" if len(self.maps) > 1 else f"{stem}{suffix}", data


@dataclass(frozen=True, slots=True)
class Classification:
    """Class of a scan.

    Attributes:
        label: the class with the highest probability.
        probabilities: of each class, by name.
        decision: result of the bundle's own postprocessing, such as a one-hot vector.
    """

    label: str
    probabilities: Mapping[str, float]
    decision: tuple[float, ...]


Answer: TypeAlias = Segmentation | Classification


class BundleClient(TaskClient[Any, Answer]):
    """Client of a served bundle; from ``client.bundle`` of a `naiad.Client`.

    Example::

        with naiad.Client("localhost:8001") as client:
            bundle = BundleClient.find(client)
            answer = bundle.infer("scan.nii.gz")
            answer.save("scan_seg.nii.gz")
    """

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        from naiad.applications.medical.bundle.task import BundleTask

        super().__init__(model, BundleTask())

    @classmethod
    def find(cls, client: Client, name: str | None = None) -> BundleClient:
        """Return the client of the bundle with this name; without a name, of the only one served.

        Raises:
            ModelNotFound: no bundle, or several; names them.
            InvalidInput: the model of that name is not a bundle.
        """
        found = cls(client.model(name or find_bundle(client)))
        _ = found.about
        return found

    @property
    def about(self) -> About:
        """The bundle's model card.

        Raises:
            ModelNotFound: the server does not have it.
            InvalidInput: the model is not a bundle.
        """
        if not self.card.task:
            raise InvalidInput(
                f"model {self.model.name} is not a bundle; serve one: naiad serve --bundle DIR"
            )
        return self.card


def find_bundle(client: Client) -> str:
    """Return the name of the only bundle on a server.

    Raises:
        ModelNotFound: no bundle, or several; names them.
    """
    # Not client.models(), which is for the server's own user.
    ready = {str(model["name"]) for model in client.statistics()["model_stats"]}
    bundles = [model for model in sorted(ready) if _is_bundle(client.config(model))]
    if len(bundles) != 1:
        some = f"several bundles are served, name one with --model: {', '.join(bundles)}"
        none = "no bundle is served; serve one: naiad serve --bundle DIR"
        raise ModelNotFound(some if bundles else none)
    return bundles[0]


def _is_bundle(config: Mapping[str, Any]) -> bool:
    return TASK_PARAMETER in config.get("parameters", {})


def about(metadata: Mapping[str, str]) -> About:
    """Read a bundle's model card from the parameters of its config."""
    kind = metadata.get(KIND_PARAMETER)
    return About(
        task=metadata.get(TASK_PARAMETER, ""),
        kind=next((known for known in KINDS if known.name == kind), VOLUME),
        image=metadata.get(INPUT_PARAMETER, "image"),
        files=tuple(json.loads(metadata.get(FILES_PARAMETER) or '["image"]')),
        classes=tuple(json.loads(metadata.get(CLASSES_PARAMETER) or "[]")),
        notice=metadata.get("notice", ""),
    )
