"""Geometry of NIfTI files: from a header's sform, qform and voxel sizes to one affine.

NIfTI has three places for it, and programs resolve contradictions differently: nibabel prefers the
sform, ITK takes directions from the sform and sizes from ``pixdim``, and MONAI replaces an sform
whose voxels have other sizes than ``pixdim`` by the qform. Naiad takes MONAI's affine, so that a
network sees what it would see there. Files on the same grid get the header's own fields, so that
they lie on the scan in every program, whatever it prefers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.errors import InvalidInput

Forms: TypeAlias = Mapping[str, NDArray[Any]]
"""The geometric fields of a NIfTI header by name, as they are in the file."""

_FIELDS: Final = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)
_FLAT: Final = 1e-6  # volume of three unit vectors in one plane
_SKEWED: Final = 3e-4  # cosine between axes; ITK opens files with less
_APART: Final = 0.1  # in millimetres, of a corner by two forms
_UNITS: Final = {1: "metres", 3: "micrometres"}


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """The position of a volume.

    Attributes:
        affine: from voxel indices to millimetres, right, anterior, superior: float64 ``[4, 4]``.
        forms: fields for other files on the same grid, or None where they cannot be used.
        notes: contradictions in the header, each with what was taken.
    """

    affine: NDArray[np.float64]
    forms: Forms | None
    notes: tuple[str, ...]


def geometry_of(raw: Any, header: Any, name: str) -> Geometry:
    """Return the geometry in a NIfTI header of a file with three axes or more.

    Args:
        raw: nibabel's header, as in the file.
        header: the same, with what nibabel mends: sizes that are negative or 0, unknown codes.
        name: of the file, in messages.

    Raises:
        InvalidInput: no form in the header is usable.
    """
    sform, qform = _sform(header), _qform(header)
    try:
        affine = np.asarray(header.get_best_affine(), np.float64)
    except Exception as error:  # nibabel's own
        raise InvalidInput(f"{name} has an invalid header: {error}") from error
    axes = int(header["dim"][0])
    flat = sform is not None and _is_flat(sform)
    differs = sform is not None and (flat or not _has_sizes(sform, header, axes))
    replaced = False
    if differs and qform is not None:
        replaced = not _is_flat(qform) if flat else _has_sizes(qform, header, axes)
        affine = qform if replaced else affine
    if not np.isfinite(affine).all():
        raise InvalidInput(f"{name} has an affine with numbers that are not finite")
    if _is_flat(affine):
        raise InvalidInput(
            f"{name} has an affine that maps all voxels to a plane or a point: "
            f"{affine[:3, :3].round(3).tolist()}; set its sform or its qform"
        )
    coded = [sform] if sform is not None else []
    if header["qform_code"] > 0 and qform is not None:
        coded.append(qform)
    usable = all(np.isfinite(form).all() and not _is_flat(form) for form in coded)
    sizes, notes = header["pixdim"][1:4], list[str]()
    if (raw["pixdim"][1:4] <= 0).any():
        notes.append(f"pixdim is {_said(raw['pixdim'][1:4])} mm: taken as {_said(sizes)}")
    if differs:
        assert sform is not None
        kind = "sform" if not replaced else "qform" if len(coded) == 2 else "qform, of code 0,"
        said = f"voxels are of {_said(_sizes(sform))} mm by the sform and {_said(sizes)} by pixdim"
        said = "the sform maps all voxels to a plane or a point" if flat else said
        notes.append(f"{said}: the {kind} is used{', as by MONAI' if replaced else ''}")
    elif len(coded) == 2 and _distance(coded[0], coded[1], header["dim"][1:4]) > _APART:
        notes.append("the sform and the qform place the scan differently: the sform is used")
    if not coded:
        notes.append(
            "it has neither sform nor qform: its axes are taken as left, anterior, superior"
        )
    if (unit := _UNITS.get(int(raw["xyzt_units"]) & 7)) is not None:
        notes.append(f"its lengths are in {unit}: taken as millimetres, as by MONAI")
    if _is_skewed(affine):
        notes.append("its axes are not at right angles: ITK opens neither it nor files on its grid")
    fields = {field: np.array(raw[field]) for field in _FIELDS}
    usable = usable and bool(np.isfinite(fields["pixdim"][:4]).all())
    return Geometry(affine, fields if usable else None, tuple(notes))


def set_forms(header: Any, forms: Forms) -> None:
    """Set the geometric fields of nibabel's ``header`` of a 3D file."""
    for field, value in forms.items():
        if field == "pixdim":
            header[field][:4] = value[:4]
        else:
            header[field] = value


def _has_sizes(affine: NDArray[np.float64], header: Any, axes: int) -> bool:
    """Return whether an affine has the sizes in ``pixdim``, by the rule of MONAI.

    With a fourth axis it compares the fourth column as well, the offset, with the step in time;
    with a fifth, nothing.
    """
    if axes > 4:
        return True
    lengths = np.linalg.norm(affine[:axes, :axes], axis=0)
    lengths[lengths == 0] = 1
    return np.allclose(header["pixdim"][1 : axes + 1], lengths)


def _sform(header: Any) -> NDArray[np.float64] | None:
    return np.asarray(header.get_sform(), np.float64) if header["sform_code"] > 0 else None


def _qform(header: Any) -> NDArray[np.float64] | None:
    """Return the qform, whatever its code, or None if its quaternion is longer than 1."""
    try:
        return np.asarray(header.get_qform(), np.float64)
    except Exception:  # nibabel's own, of several kinds
        return None


def _sizes(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.norm(affine[:3, :3], axis=0)


def _unit_axes(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    sizes = _sizes(affine)
    return affine[:3, :3] / np.where(sizes == 0, 1, sizes)


def _is_flat(affine: NDArray[np.float64]) -> bool:
    return bool(abs(np.linalg.det(_unit_axes(affine))) < _FLAT)


def _is_skewed(affine: NDArray[np.float64]) -> bool:
    axes = _unit_axes(affine)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > _SKEWED)


def _distance(one: NDArray[np.float64], other: NDArray[np.float64], shape: Any) -> float:
    """Return the largest distance of a corner by two affines, in millimetres."""
    corners = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)], np.float64)
    corners[:, :3] *= np.asarray(shape, np.float64) - 1
    return float(np.linalg.norm(corners @ (one - other).T, axis=1).max())


def _said(sizes: Any) -> str:
    return " x ".join(f"{float(size):.4g}" for size in sizes)
