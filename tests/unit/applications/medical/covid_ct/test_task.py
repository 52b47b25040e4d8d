"""What people read of a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naiad.applications.medical.covid_ct import slices
from naiad.applications.medical.covid_ct.phantoms import draw, encode
from naiad.applications.medical.covid_ct.schema import NEGATIVE, POSITIVE
from naiad.applications.medical.covid_ct.task import CovidCtTask, Verdict


@dataclass
class Found:
    name: str
    result: Verdict
    path: Path = Path("scan.nii")
    number: int = 0

    def unit(self) -> Any:
        return encode(draw(np.random.default_rng(0), opacities=False, size=(30, 30, 12)))


@pytest.mark.parametrize(("label", "probability"), [(NEGATIVE, 0.001), (POSITIVE, 0.987)])
def test_a_probability_is_said_to_be_that_of_covid(
    label: str, probability: float, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Found("scan.nii", Verdict(label, probability))
    task = CovidCtTask()
    report = task.report(1, {}, None)
    report.add(found)
    report.print(0.0)
    assert f"{label}  P(COVID) {probability:.3f}" in capsys.readouterr().out
    assert task.columns[-1].name == "p_covid"
    _, [(text, _)] = slices._tile(found)
    assert text == f"{label}   P(COVID) {probability:.3f}   scan.nii"
