"""Findings as a structured report: TID 1500, with volumes, verdict and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from naiad.dicom.findings import Findings, Segment
from naiad.dicom.identity import Origin, category_of, concept, long, private, scheme
from naiad.dicom.sink import MANUFACTURER, Reference
from naiad.dicom.uids import uid_of
from naiad.errors import MissingExtra

try:
    from highdicom.sr import (
        AlgorithmIdentification,
        CodedConcept,
        ComprehensiveSR,
        DeviceObserverIdentifyingAttributes,
        Measurement,
        MeasurementReport,
        MeasurementsAndQualitativeEvaluations,
        ObservationContext,
        ObserverContext,
        QualitativeEvaluation,
        ReferencedSegment,
        RelationshipTypeValues,
        SourceImageForMeasurementGroup,
        SourceSeriesForSegmentation,
        TextContentItem,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes
except ImportError as error:
    raise MissingExtra("dicomweb", error.name or "highdicom") from error


def report(
    findings: Findings,
    origin: Origin,
    segmentation: tuple[Any, Sequence[Segment]] | None,
    previous: Sequence[Reference],
) -> ComprehensiveSR:
    """Return a report: a group for each segment, and one for the verdict.

    Args:
        findings: of the task.
        origin: of the findings.
        segmentation: that the volumes are of, with its segments.
        previous: earlier reports on the series.
    """
    groups: list[Any] = []
    evidence = list(origin.sources)
    if segmentation is not None:
        made, segments = segmentation
        evidence.append(made)
        groups += [
            _volume(origin, made, number, segment)
            for number, segment in enumerate(segments, start=1)
        ]
    else:
        groups += [_size(origin, one) for one in findings.segments if one.ml]
    if findings.verdict or findings.probabilities:
        groups.append(_verdict(findings, origin))
    device = DeviceObserverIdentifyingAttributes(
        uid=uid_of("device", MANUFACTURER, origin.algorithm.name),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=long(origin.algorithm.name),
    )
    content = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(codes.DCM.Device, device)
        ),
        procedure_reported=_procedure(str(origin.sources[0].get("Modality", ""))),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    for text in (origin.notices, *findings.notes):
        content[0].ContentSequence.append(
            TextContentItem(
                name=codes.DCM.Comment,
                value=text,
                relationship_type=RelationshipTypeValues.CONTAINS,
            )
        )
    about = origin.about("sr", 2, "report")
    return ComprehensiveSR(
        evidence=evidence,
        content=content[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=[_dataset(one) for one in previous] or None,
        coding_schemes=scheme(),
        **about,
    )


def _volume(
    origin: Origin, made: Any, number: int, segment: Segment
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        # Not from_segmentation(), which finds the only segment of a segmentation nowhere.
        referenced_segment=ReferencedSegment(
            made.SOPClassUID,
            made.SOPInstanceUID,
            segment_number=number,
            source_series=SourceSeriesForSegmentation(origin.sources[0].SeriesInstanceUID),
        ),
        **_measured(origin, segment),
    )


def _size(origin: Origin, segment: Segment) -> MeasurementsAndQualitativeEvaluations:
    """Return a segment's volume without the segmentation."""
    return MeasurementsAndQualitativeEvaluations(
        source_images=_images(origin), **_measured(origin, segment)
    )


def _measured(origin: Origin, segment: Segment) -> dict[str, Any]:
    measurements = None
    if segment.ml is not None:
        ml = CodedConcept("ml", "UCUM", "ml")
        measurements = [Measurement(name=codes.SCT.Volume, value=float(segment.ml), unit=ml)]
    return {
        "tracking_identifier": _tracking(origin, segment.name),
        "finding_category": category_of(segment),
        "finding_type": concept(segment.code, segment.name),
        "algorithm_id": _algorithm(origin),
        "measurements": measurements,
    }


def _verdict(findings: Findings, origin: Origin) -> MeasurementsAndQualitativeEvaluations:
    unit = CodedConcept("1", "UCUM", "no units")
    evaluations = (
        [QualitativeEvaluation(name=private("Classification"), value=private(findings.verdict))]
        if findings.verdict
        else None
    )
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(origin, "verdict"),
        algorithm_id=_algorithm(origin),
        measurements=[
            Measurement(name=private(f"Probability of {name}"), value=float(share), unit=unit)
            for name, share in findings.probabilities.items()
        ],
        qualitative_evaluations=evaluations,
        source_images=_images(origin),
    )


def _images(origin: Origin) -> list[SourceImageForMeasurementGroup]:
    return [SourceImageForMeasurementGroup.from_source_image(one) for one in origin.sources]


def _tracking(origin: Origin, what: str) -> TrackingIdentifier:
    series = str(origin.sources[0].SeriesInstanceUID)
    return TrackingIdentifier(
        uid=uid_of(origin.run, series, str(origin.scan), "tracking", what), identifier=long(what)
    )


def _algorithm(origin: Origin) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=long(origin.algorithm.name), version=long(origin.algorithm.version or "unknown")
    )


def _procedure(modality: str) -> CodedConcept:
    """Return the procedure that a report is about."""
    known = {
        "CT": ("77477000", "Computed tomography"),
        "MR": ("113091000", "Magnetic resonance imaging"),
        "PT": ("82918005", "Positron emission tomography"),
    }
    value, meaning = known.get(modality, ("363679005", "Imaging procedure"))
    return CodedConcept(value, "SCT", meaning)


def _dataset(reference: Reference) -> Dataset:
    found = Dataset()
    found.StudyInstanceUID, found.SeriesInstanceUID = reference.study, reference.series
    found.SOPClassUID, found.SOPInstanceUID = reference.kind, reference.instance
    return found
