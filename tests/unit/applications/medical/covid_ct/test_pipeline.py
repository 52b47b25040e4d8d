"""The model ``monai_covid`` answers requests, alone and in batches."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.exported import script

from naiad.applications.medical import nifti
from naiad.applications.medical.covid_ct import phantoms
from naiad.applications.medical.covid_ct.pipeline import CovidCt
from naiad.applications.medical.covid_ct.schema import (
    FOREIGN,
    NEGATIVE,
    NOTICE,
    POSITIVE,
    as_request,
)
from naiad.core.pipeline import Request
from naiad.core.schema import validate
from naiad.errors import InvalidInput, PipelineError
from naiad.runtime.runner import Runner

RNG = np.random.default_rng(5)
# Several small sizes, with and without opacities.
SCANS = [
    phantoms.encode(phantoms.draw(RNG, opacities=number % 2 == 0, size=size))
    for number, size in enumerate([(90, 90, 36), (72, 80, 30), (110, 100, 28), (80, 84, 44)])
]


@pytest.fixture(autouse=True, scope="module")
def no_downloaded_weights(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAIAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def runner() -> Runner:
    runner = Runner(CovidCt())
    # The same few scans are prepared again and again.
    runner.pipeline._prepare = cache(runner.pipeline._prepare)
    return runner


def request(*scans: bytes) -> Request:
    arrays = as_request(scans)
    return Request(arrays, validate(CovidCt.inputs, arrays))


def answers(runner: Runner, *requests: Request) -> list:
    return runner.run(requests).outcomes


def test_the_weights_that_come_along_know_their_phantoms_and_say_what_they_are(runner):
    assert runner.pipeline.metadata() == {"notice": NOTICE}
    assert NOTICE == "trained on synthetic phantoms, not for diagnosis"
    (found,) = answers(runner, request(*SCANS))
    assert found["OUTPUT0"].tolist() == [POSITIVE.encode(), NEGATIVE.encode()] * 2
    assert ((found["PROBABILITY"] >= 0.5) == [True, False, True, False]).all()


@pytest.fixture(scope="module")
def alone(runner) -> list:
    return [answers(runner, request(scan))[0] for scan in SCANS]


@settings(max_examples=6)
@given(
    groups=st.lists(st.lists(st.integers(0, len(SCANS) - 1), max_size=3), min_size=1, max_size=3)
)
@example(groups=[[3, 2, 1, 0, 1, 2], [], [0]])
def test_results_do_not_depend_on_how_scans_were_batched(runner, alone, groups):
    found = answers(runner, *(request(*(SCANS[i] for i in group)) for group in groups))
    for group, answer in zip(groups, found, strict=True):
        assert answer["OUTPUT0"].tolist() == [alone[i]["OUTPUT0"][0] for i in group]
        expected = [alone[i]["PROBABILITY"][0] for i in group]
        np.testing.assert_allclose(answer["PROBABILITY"], expected, atol=1e-5)


def test_batches_have_twelve_volumes_of_which_four_go_through_the_network_together(runner):
    budget = runner.contract.budget
    assert budget.holds({"volumes": 11}, {"volumes": 1})
    assert not budget.holds({"volumes": 12}, {"volumes": 1})
    assert not budget.holds({"bytes": 256 << 20}, {"bytes": 1})
    report = runner.run([request(*SCANS[:2])] * 5)
    assert [batch["volumes"] for batch in report.batches] == [4, 4, 2]


BAD = {
    "empty": (b"", "INPUT0[1, 0] is empty; it must be a NIfTI file (.nii or .nii.gz)"),
    "truncated": (SCANS[1][:5000], "INPUT0[1, 0] is a truncated gzip file (5,000 bytes)"),
    "air": (
        nifti.write(np.full((9, 9, 9), -1000, np.int16), np.eye(4)),
        "INPUT0[1, 0] has no voxel above -1000 HU",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_scan_fails_its_own_request_and_no_other(runner, case):
    data, message = BAD[case]
    first, second, third = answers(
        runner, request(SCANS[0]), request(SCANS[1], data), request(SCANS[1])
    )
    assert isinstance(second, InvalidInput)
    assert str(second).startswith(message)
    assert (first["OUTPUT0"][0], third["OUTPUT0"][0]) == (POSITIVE.encode(), NEGATIVE.encode())


class Mean(torch.nn.Module):
    """One or more logits by the dense share of the volume."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.mean((1, 2, 3, 4)) - 0.5)[:, None].repeat(1, self.outputs)


def test_any_torchscript_is_served_and_its_logit_becomes_a_probability(tmp_path):
    runner = Runner(CovidCt(script(Mean(), tmp_path / "covid19_model.ts")))
    assert runner.pipeline.metadata() == {"notice": FOREIGN}
    for hounsfield, label in ((-900, NEGATIVE), (400, POSITIVE)):
        scan = nifti.write(np.full((9, 9, 9), hounsfield, np.int16), np.eye(4))
        (found,) = answers(runner, request(scan))
        assert found["OUTPUT0"].tolist() == [label.encode()]
        logit = (hounsfield + 1000) / 1500 - 0.5
        np.testing.assert_allclose(found["PROBABILITY"], [1 / (1 + np.exp(-logit))], rtol=1e-5)


def test_a_network_of_other_outputs_says_so(tmp_path):
    runner = Runner(CovidCt(script(Mean(outputs=2), tmp_path / "model.ts")))
    (found,) = answers(runner, request(SCANS[0]))
    assert isinstance(found, PipelineError)
    message = "the network returns [1, 2] for 1 volumes; it must return one logit for each"
    assert re.search(re.escape(message), str(found))
