"""Label maps as a DICOM segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.dicom.findings import Findings, Segment
from naiad.dicom.geometry import Frame, frames_of, on_grid
from naiad.dicom.identity import NOTICE, Origin, category_of, concept, identification, long, scheme
from naiad.errors import InvalidInput, MissingExtra

try:
    from highdicom.content import PlanePositionSequence
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.uid import ExplicitVRLittleEndian
except ImportError as error:
    raise MissingExtra("dicomweb", error.name or "highdicom") from error


def segmentation(findings: Findings, origin: Origin) -> tuple[Segmentation, list[Segment]] | None:
    """Return the segmentation, and its segments in the order of their numbers from 1.

    None if no label has a voxel.

    Raises:
        InvalidInput: the label maps do not lie on the slices of the series.
    """
    if not findings.labels or findings.affine is None:
        return None
    maps = list(findings.labels)
    overlap = len(maps) > 1
    placed = on_grid(frames_of(origin.sources), maps[0].shape, findings.affine)
    segments: list[Segment] = []
    masks: list[NDArray[np.bool_]] = []
    for index, segment in enumerate(findings.segments):
        one = maps[index] != 0 if overlap else maps[0] == segment.number
        mask = np.stack([one[voxels] for _, voxels in placed])
        if mask.any():
            segments.append(segment)
            masks.append(mask)
    if not segments:
        return None
    if overlap:
        pixels: NDArray[Any] = np.stack(masks, axis=-1)
    else:
        pixels = np.zeros(masks[0].shape, np.uint8 if len(masks) < 256 else np.uint16)
        for number, mask in enumerate(masks, start=1):
            pixels[mask] = number
    sources, positions = _sources(origin, [frame for frame, _ in placed])
    made = Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type="BINARY",
        segment_descriptions=[
            _description(origin, number, one) for number, one in enumerate(segments, start=1)
        ],
        plane_positions=positions,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_label="SEGMENTATION",
        content_description=long(f"{origin.algorithm.name}, {NOTICE}"),
        content_creator_name="Naiad",
        coding_schemes=scheme(),
        **origin.about("seg", 1, "segmentation"),
    )
    made.ImageComments = origin.notices
    return made, segments


def _sources(
    origin: Origin, frames: Sequence[Frame]
) -> tuple[list[Any], list[PlanePositionSequence] | None]:
    """Return the files of frames in order; for one of many frames, their positions too.

    Raises:
        InvalidInput: the frames are in several files of many.
    """
    numbers = list(dict.fromkeys(frame.dataset for frame in frames))
    sources = [origin.sources[number] for number in numbers]
    if all(int(one.get("NumberOfFrames") or 1) == 1 for one in sources):
        return sources, None
    if len(sources) > 1:
        raise InvalidInput(
            f"the slices are in {len(sources)} files with many frames; a segmentation refers to one"
        )
    positions = [PlanePositionSequence("PATIENT", tuple(frame.position)) for frame in frames]
    return sources, positions


def _description(origin: Origin, number: int, segment: Segment) -> SegmentDescription:
    return SegmentDescription(
        segment_number=number,
        segment_label=long(segment.name),
        segmented_property_category=category_of(segment),
        segmented_property_type=concept(segment.code, segment.name),
        algorithm_type="AUTOMATIC",
        algorithm_identification=identification(origin.algorithm),
    )
