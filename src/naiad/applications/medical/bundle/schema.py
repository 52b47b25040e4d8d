"""Inputs and outputs of a served bundle, derived from its metadata."""

from __future__ import annotations

from typing import Final

from naiad.applications.medical.bundle.kinds import KINDS, PICTURE
from naiad.applications.medical.bundle.metadata import Image, Metadata
from naiad.core.schema import BYTES, REQUESTS, Tensor
from naiad.image_formats import NAMES as PICTURES

COMPRESS: Final = "compress"
LABELS: Final = "labels"
NAMES: Final = "names"
PROBABILITIES: Final = "probabilities"
LABEL: Final = "label"
NOTES: Final = "notes"

CLASSES_PARAMETER: Final = "bundle_classes"
"""Parameter of the model's config: JSON list of the names of a classification's classes."""
CODES_PARAMETER: Final = "bundle_codes"
"""Parameter of the model's config: JSON, by label, of concepts in standard terminologies."""
KIND_PARAMETER: Final = "bundle_image"
"""Parameter of the model's config: ``volume`` or ``picture``, the kind of its inputs."""
TASK_PARAMETER: Final = "bundle_task"
"""Parameter of the model's config: the task, by which a bundle is recognised."""
INPUT_PARAMETER: Final = "bundle_input"
"""Parameter of the model's config: name of the input tensor for files."""
FILES_PARAMETER: Final = "bundle_files"
"""Parameter of the model's config: JSON list of the names of a scan's files."""


OWN: Final = frozenset(
    {COMPRESS, LABELS, NAMES, PROBABILITIES, LABEL, NOTES, *(kind.sizes for kind in KINDS)}
)
"""Tensors of every bundle, beside the input and the output in its metadata."""


def inputs(metadata: Metadata) -> dict[str, Tensor]:
    """Return the inputs: the scan or picture, and whether to gzip label maps, if possible."""
    image = metadata.image
    one = len(image.files) == 1
    tensors = {
        image.name: Tensor(
            BYTES,
            (REQUESTS,) if one else ("files",),
            counts="bytes",
            doc=_description(image),
        )
    }
    if _gzips(metadata):
        tensors[COMPRESS] = Tensor(
            "bool",
            (REQUESTS,),
            optional=True,
            default=True,
            doc="whether label maps are gzipped; true where it is left out",
        )
    return tensors


def outputs(metadata: Metadata) -> dict[str, Tensor]:
    """Return the outputs: label maps and the sizes of labels, or probabilities."""
    prediction, kind = metadata.prediction, metadata.image.kind
    if prediction.task == "segmentation":
        return {
            prediction.name: Tensor(
                BYTES,
                ("maps",),
                doc=f"label maps as {kind.map_format} files with the grid of the {kind.name}: one, "
                "or one per channel where labels may overlap",
            ),
            LABELS: Tensor("int32", ("labels",), doc="the labels that were found, background too"),
            NAMES: Tensor(BYTES, ("labels",), doc="name of each of them, UTF-8"),
            kind.sizes: Tensor(
                kind.size_type, ("labels",), unit=kind.unit, doc="of each of them, in this order"
            ),
            **_notes(metadata),
        }
    return {
        PROBABILITIES: Tensor("float32", (prediction.channels,), doc="of each class"),
        LABEL: Tensor(BYTES, (REQUESTS,), doc="name of the class with the highest, UTF-8"),
        prediction.name: Tensor(
            "float32", ("values",), doc="what the bundle's own postprocessing ends with"
        ),
        **_notes(metadata),
    }


def sample(metadata: Metadata) -> dict[str, Tensor]:
    """Return the sample: a preprocessed scan or picture, and the state for postprocessing."""
    return _sample(metadata, "sample")


def result(metadata: Metadata) -> dict[str, Tensor]:
    """Return the result: the sample and the network's prediction."""
    classifies = metadata.prediction.task == "classification"
    axes = () if classifies else _axes(metadata, "prediction")
    prediction = Tensor("float32", (REQUESTS, "scores", *axes), finite=False)
    rest = Tensor(BYTES, (REQUESTS,), doc="what else the network returned")
    return {**_sample(metadata, "result"), "prediction": prediction, "rest": rest}


def _sample(metadata: Metadata, prefix: str) -> dict[str, Tensor]:
    dims = (REQUESTS, metadata.image.channels, *_axes(metadata, prefix))
    tensors = {
        "image": Tensor("float32", dims, finite=False, counts="voxels"),
        "state": Tensor(BYTES, (REQUESTS,), doc="of the transforms; never leaves the process"),
    }
    if _gzips(metadata):
        tensors[COMPRESS] = Tensor("bool", (REQUESTS,))
    return tensors


def _gzips(metadata: Metadata) -> bool:
    return metadata.prediction.task == "segmentation" and metadata.image.kind.gzips


def _notes(metadata: Metadata) -> dict[str, Tensor]:
    if not metadata.image.kind.placed:
        return {}
    doc = "contradictions in the geometry of the scan's file, UTF-8; mostly none"
    return {NOTES: Tensor(BYTES, ("notes",), doc=doc)}


def _axes(metadata: Metadata, prefix: str) -> tuple[str, ...]:
    """Names for the axes of an image: only those of equal sizes are merged."""
    return tuple(f"{prefix}_{axis}" for axis in "xyz"[: metadata.image.kind.axes])


def _description(image: Image) -> str:
    values = image.value_range
    seen = f"; the network sees values of {values[0]:g} to {values[1]:g}" if values else ""
    if image.kind is PICTURE:
        return f"picture as a {PICTURES} file{seen}"
    kind = f"{image.modality} scan" if image.modality else "scan"
    if image.channels == 1:
        return f"{kind} as a NIfTI file, gzipped or not{seen}"
    return (
        f"{kind} as {image.channels} NIfTI files, or one with as many volumes: "
        f"{', '.join(image.channel_names)}{seen}"
    )
