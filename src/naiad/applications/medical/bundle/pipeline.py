"""The pipeline of a MONAI bundle: scans or pictures in, label maps or class probabilities out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from naiad.applications.medical.bundle import schema
from naiad.applications.medical.bundle.files import open_bundle
from naiad.applications.medical.bundle.kinds import PICTURE, Grid, Kind
from naiad.applications.medical.bundle.metadata import Image, Metadata, Prediction, read_metadata
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import REQUESTS, Array, Arrays
from naiad.core.settings import RUNTIMES
from naiad.errors import InvalidInput, PipelineError, WeightsError

if TYPE_CHECKING:
    from naiad.applications.medical.bundle.workflow import Case, Workflow

_ANY = Metadata(
    image=Image("image", 1, ("image",), ("*", "*", "*"), True, "", ()),
    prediction=Prediction("pred", "segmentation", 2, {}),
    title="",
    version="",
    intended_use="",
)
_ANY_PICTURE = replace(_ANY, image=replace(_ANY.image, channels=3, shape=("*", "*")))
_ANY_CLASSIFIER = replace(_ANY, prediction=replace(_ANY.prediction, task="classification"))


def bundle_spec(path: Path) -> str:
    """Return the name of a bundle's pipeline, for :func:`naiad.core.pipeline.load_pipeline`."""
    return f"{Bundle.made_by}({path.resolve()})"


def bundle(path: str | Path) -> type[Bundle]:
    """Make the pipeline class of the bundle at ``path``: its folder, or a TorchScript file.

    The model has the name of the folder or file. Only the metadata is read: no code of the bundle
    runs before the model is loaded.

    Raises:
        RepositoryError: a file of the bundle is missing or wrong; names the file and the field.
    """
    path = Path(path).resolve()
    files = open_bundle(path)
    metadata = read_metadata(files)
    taken = schema.OWN & {metadata.image.name, metadata.prediction.name}
    if taken:
        raise files.wrong_metadata(
            f"network_data_format has a tensor {min(taken)!r}, a name that Naiad uses; rename it "
            "there and in the transforms, such as to 'image' or 'pred'"
        )
    kind = Classification
    if metadata.prediction.task == "segmentation":
        kind = PictureSegmentation if metadata.image.kind is PICTURE else Segmentation
    stem = path.name if path.is_dir() else path.stem
    made = type(
        kind.__name__,
        (kind,),
        {
            "__module__": __name__,
            "name": re.sub(r"[^A-Za-z0-9_.-]", "_", stem),
            "facts": metadata,
            "inputs": schema.inputs(metadata),
            "sample": schema.sample(metadata),
            "result": schema.result(metadata),
            "outputs": schema.outputs(metadata),
            "weights": path,
            "notice": metadata.intended_use,
        },
    )
    return cast(type[Bundle], made)


class Bundle(Pipeline):
    """Base of the pipelines that :func:`bundle` makes of MONAI bundles."""

    made_by = f"{__name__}:bundle"
    inputs = schema.inputs(_ANY)
    sample = schema.sample(_ANY)
    result = schema.result(_ANY)
    outputs = schema.outputs(_ANY)
    # The bundle's inferer batches the windows of a volume, and each further volume in a batch needs
    # its own memory.
    budget = Budget(requests=1)
    limit = Budget(bytes=2 << 30)
    waiting = Budget(bytes=4 << 30)  # files wait as they were sent
    watchdog = 600.0  # seconds; a large volume takes minutes on a CPU
    runtimes = RUNTIMES
    facts: ClassVar[Metadata] = _ANY

    def __init__(self, weights: Path | None = None) -> None:
        """Serve the bundle of the class, at ``weights`` if it was moved.

        Raises:
            WeightsError: the class has no bundle.
        """
        super().__init__(weights)
        if self.weights is None or self.weights_path is None:
            raise WeightsError(
                "no bundle was given; give its folder: --weights DIR, or naiad serve --bundle DIR"
            )

    def metadata(self) -> Mapping[str, str]:
        """Return the bundle's description, its task, and the names of files and classes."""
        facts = self.facts
        stated = {"title": facts.title, "version": facts.version, "modality": facts.image.modality}
        codes = facts.prediction.codes
        if codes:
            stated[schema.CODES_PARAMETER.removeprefix("bundle_")] = json.dumps(codes)
        return {
            **super().metadata(),
            schema.TASK_PARAMETER: facts.prediction.task,
            schema.INPUT_PARAMETER: facts.image.name,
            schema.KIND_PARAMETER: facts.image.kind.name,
            schema.FILES_PARAMETER: json.dumps(facts.image.files),
            schema.CLASSES_PARAMETER: json.dumps(facts.prediction.class_names()),
            **{f"bundle_{name}": value for name, value in stated.items() if value},
        }

    def setup(self, device: str) -> None:
        """Let MONAI create the objects in the bundle's config."""
        from naiad.applications.medical.bundle.workflow import Workflow

        assert self.weights_path is not None
        self._workflow: Workflow = Workflow(open_bundle(self.weights_path), self.facts, device)
        if self.runtime not in (None, "torch"):
            self._workflow.run_by(self.runtime, self._image())

    def _image(self) -> Array:
        """Return the network's input for the example."""
        return self.prepare(Request(self.example(), {REQUESTS: 1}))["image"]

    def prepare(self, request: Request) -> Arrays:
        """Read the files and preprocess them by the bundle's transforms."""
        image = self.facts.image
        files = request[image.name].tolist()
        if len(files) not in (1, len(image.files)):
            raise InvalidInput(
                f"{image.name} has {len(files)} files; this bundle needs {len(image.files)}, in "
                f"this order: {', '.join(image.files)}; or one with as many volumes"
            )
        images = image.kind.read(files, image.name, image.channels)
        if len(images) != len(image.files):
            raise InvalidInput(
                f"{image.name} has {len(images)} volumes; this bundle needs {len(image.files)}, in "
                f"this order: {', '.join(image.files)}; in a file each or in one"
            )
        case = self._workflow.prepare(images)
        state = np.array([case.state, None], object)[:-1]
        sample = {"image": case.image[None], "state": state}
        if schema.COMPRESS in request:
            sample[schema.COMPRESS] = request[schema.COMPRESS]
        return sample

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Run the bundle's inferer over the volumes of a batch, all of the same shape."""
        found = self._workflow.predict(batch["image"])
        return {**batch, "prediction": found.main, "rest": found.rest}

    def example(self) -> dict[str, Array]:
        """Return a ball in noise, of a size that the network takes."""
        image = self.facts.image
        files = image.kind.example(image.example_shape(), image.channels)
        return {image.name: np.array([*files, None], object)[:-1]}


class Segmentation(Bundle):
    """A bundle that labels each voxel or pixel."""

    def finish(self, result: Arrays) -> Arrays:
        """Return the label maps as files, and the sizes of their labels."""
        kind = self.facts.image.kind
        predicted = result["prediction"][0], result["rest"][0]
        maps, grid = self._workflow.label_maps(_case(result), *predicted)
        labels = kind.whole_numbers(maps)
        compress = kind.gzips and bool(result[schema.COMPRESS][0])
        files = [kind.write(one, grid, compress=compress) for one in labels]
        found, counts = _counted(labels)
        names = [self._workflow.label(number, len(labels)).encode() for number in found.tolist()]
        return {
            self.facts.prediction.name: np.array([*files, None], object)[:-1],
            schema.LABELS: found.astype(np.int32),
            schema.NAMES: np.array([*names, None], object)[:-1],
            kind.sizes: kind.measured(counts, grid),
            **_notes(kind, grid),
        }


class PictureSegmentation(Segmentation):
    """The same for a picture, with another contract."""

    inputs = schema.inputs(_ANY_PICTURE)
    sample = schema.sample(_ANY_PICTURE)
    result = schema.result(_ANY_PICTURE)
    outputs = schema.outputs(_ANY_PICTURE)


class Classification(Bundle):
    """A bundle that classifies volumes."""

    inputs = schema.inputs(_ANY_CLASSIFIER)
    sample = schema.sample(_ANY_CLASSIFIER)
    result = schema.result(_ANY_CLASSIFIER)
    outputs = schema.outputs(_ANY_CLASSIFIER)
    # Volumes of the same shape after preprocessing are merged; a DenseNet121 needs some 80 bytes
    # per voxel.
    budget = Budget(requests=4, bytes=256 << 20, voxels=1 << 24)

    def setup(self, device: str) -> None:
        """Load the bundle, and find whether its network returns logits or probabilities."""
        super().setup(device)
        self._softmax = False
        if not self._workflow.activates:
            import torch

            with torch.inference_mode():
                found = self._workflow.predict(torch.from_numpy(self._image())).main.ravel()
            total = float(found.sum())
            self._softmax = bool((found < 0).any()) or not 0.999 < total < 1.001

    def finish(self, result: Arrays) -> Arrays:
        """Return the probabilities, the most probable class, and the decision."""
        case = _case(result)
        predicted = result["prediction"][0], result["rest"][0]
        scores, decided = self._workflow.scores(case, *predicted)
        classes = self.facts.prediction.channels
        if scores.shape != (classes,):
            raise PipelineError(
                f"the bundle returns {len(scores)} scores; its metadata.json has num_channels "
                f"{classes}"
            )
        if self._softmax:
            exponentials = np.exp(scores - scores.max())
            scores = exponentials / exponentials.sum()
        label = self.facts.prediction.class_names()[int(scores.argmax())]
        return {
            schema.PROBABILITIES: scores.astype(np.float32),
            schema.LABEL: np.array([label.encode(), None], object)[:-1],
            self.facts.prediction.name: decided.astype(np.float32),
            **_notes(self.facts.image.kind, self._workflow.grid(case)),
        }

    def labels(self) -> Mapping[str, Sequence[str]]:
        """Return the names of the classes, for Triton's classification extension."""
        return {schema.PROBABILITIES: self.facts.prediction.class_names()}


def _case(result: Arrays) -> Case:
    from naiad.applications.medical.bundle.workflow import Case

    return Case(result["image"][0], result["state"][0])


def _notes(kind: Kind[Any], grid: Grid) -> Arrays:
    """Return the notes on a grid as outputs."""
    if not kind.placed:
        return {}
    return {schema.NOTES: np.array([*(note.encode() for note in grid.notes), None], object)[:-1]}


def _counted(maps: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the voxels of each label of a map; of several maps, those that are not 0 in each."""
    if len(maps) == 1:
        found, counts = np.unique(maps, return_counts=True)
        return found.astype(np.int64), counts.astype(np.int64)
    return np.arange(len(maps)), np.array([np.count_nonzero(one) for one in maps])
