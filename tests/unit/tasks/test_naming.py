"""Files of results mirror the inputs' folders, and no two units share a name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.applications.medical.bundle.task import BundleTask
from naiad.tasks.naming import stem_of, stems_of

INPUTS = st.lists(
    st.tuples(
        st.sampled_from(["ct", "ct_1", "ct_2", "P/ct", "ct/ct_1", "ct/ct"]), st.integers(1, 3)
    ),
    unique_by=lambda pair: pair[0],
)


def stems(*inputs: tuple[str, int], size: int = 1) -> list[list[str]]:
    found = stems_of(BundleTask(), [(Path(name), count) for name, count in inputs], size)
    return [[str(stem) for stem in named] for named in found]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("P1/ct.nii.gz", "P1/ct"),
        ("P1/CT.NII.GZ", "P1/CT"),
        ("ct.1.nii", "ct.1"),
        ("ct.hdr", "ct"),
        ("series", "series"),
        ("a.b", "a"),
        (".nii", ".nii"),
    ],
)
def test_a_stem_is_the_name_without_its_ending(name: str, stem: str) -> None:
    assert stem_of(BundleTask(), Path(name)) == Path(stem)


def test_stems_mirror_folders() -> None:
    given = ("P1/ct.nii.gz", 1), ("P2/ct.nii.gz", 1), ("P3/ct_2.nii.gz", 1)
    assert stems(*given) == [["P1/ct"], ["P2/ct"], ["P3/ct_2"]]


def test_scans_of_an_archive_do_not_take_the_name_of_another_input() -> None:
    assert stems(("P/ct.zip", 2)) == [["P/ct_1", "P/ct_2"]]
    together = stems(("P/ct.zip", 2), ("P/ct_2.nii.gz", 1))
    assert together == [["P/ct/ct_1", "P/ct/ct_2"], ["P/ct_2"]]


def test_channels_in_one_file_are_one_unit() -> None:
    assert stems(("ct.nii.gz", 4), size=4) == [["ct"] * 4]


@given(inputs=INPUTS)
def test_no_two_units_share_a_stem(inputs: list[tuple[str, int]]) -> None:
    named = [stem for stems in stems(*inputs) for stem in stems]
    assert len(set(named)) == len(named)
