"""DICOM series and files among a user's scans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.applications.medical.test_dicom import (
    STORED,
    a_slice,
    enhanced,
    whole_series,
    write_series,
)

from naiad.applications.medical import nifti
from naiad.applications.medical.bundle.scans import Scans, find_inputs, read_scan
from naiad.applications.medical.bundle.task import BundleTask
from naiad.cli.main import show_warning
from naiad.errors import InvalidInput


def test_a_file_that_cannot_be_used_is_a_scan_with_an_error(tmp_path: Path) -> None:
    folder = whole_series(tmp_path / "series")
    (folder / "empty.dcm").touch()
    source = Scans(folder)
    (place, unit), (name, error) = source.read(range(len(source)))
    assert place == f"{folder} (series 1: CT thorax, 7 slices)"
    assert isinstance(unit, tuple)
    assert (name, str(error)) == (str(folder / "empty.dcm"), f"{folder / 'empty.dcm'} is empty")
    with pytest.warns(UserWarning, match=r"empty\.dcm is empty"):
        assert len(read_scan(folder)) == 7


@pytest.mark.parametrize("name", ["ct.dcm", "CT.DCM", "IM0001"])
def test_a_dicom_file_is_a_scan_whatever_its_name(tmp_path: Path, name: str) -> None:
    enhanced().save_as(tmp_path / name, enforce_file_format=True)
    ((_, unit),) = Scans(tmp_path / name).read(range(1))
    (sent,) = BundleTask().request(unit, BundleTask.Options())["image"]
    np.testing.assert_array_equal(nifti.read(sent).stored, STORED.T.astype(np.int16) - 1024)


def test_the_position_tolerance_of_a_request_is_used(tmp_path: Path) -> None:
    flat: dict[str, Any] = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    heights = [0, 1, 2, 3.4, 4.4, 5.4, 6.4]
    slices = [a_slice(n, **flat, ImagePositionPatient=[0, 0, z]) for n, z in enumerate(heights)]
    ((_, unit),) = Scans(write_series(tmp_path / "uneven", slices)).read(range(1))
    task = BundleTask()
    with pytest.raises(InvalidInput, match="raise position_tolerance"):
        task.request(unit, BundleTask.Options())
    (sent,) = task.request(unit, BundleTask.Options(position_tolerance=0.5))["image"]
    assert nifti.read(sent).shape == (6, 5, 7)


@pytest.mark.parametrize("name", ["gone.dcm", "gone.zip", "gone.nii"])
def test_a_missing_file_is_reported(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        read_scan(tmp_path / name)


def test_files_of_macos_are_no_scans(tmp_path: Path) -> None:
    for name in ("scan.nii", "._scan.nii"):
        (tmp_path / name).touch()
    assert [*find_inputs(tmp_path)] == [tmp_path / "scan.nii"]


def test_the_command_shows_a_warning_as_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_warning(UserWarning("2 slices [red] repeat"), UserWarning, "series.py", 7)
    assert capsys.readouterr().err == "warning: 2 slices [red] repeat\n"
    show_warning(DeprecationWarning("old"), DeprecationWarning, "series.py", 7)
    assert capsys.readouterr().err.startswith("series.py:7: DeprecationWarning: old")
