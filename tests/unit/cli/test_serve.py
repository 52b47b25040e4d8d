import re

import numpy as np
import pytest
from typer.testing import CliRunner

from naiad.cli.main import app
from naiad.cli.serve import example_call

URL = "127.0.0.1:8001"


def test_the_example_of_a_built_in_pipeline_is_its_own_command():
    assert example_call(URL, "nugraph3", {}) == f"naiad infer nugraph3 events/*.h5 --url {URL}"
    call = example_call(URL, "zero_shot", {})
    assert re.fullmatch(f'naiad infer zero_shot ".+" --labels .+ --url {URL}', call)


def test_the_example_of_a_model_of_ones_own_is_python_with_its_tensors():
    request = {
        "few": np.array([1.5, 2.5], np.float32),
        "many": np.zeros((3, 100), np.int64),
        "texts": np.full(20, b"word", object),
    }
    call = example_call(URL, "mine", request)
    compile(call, "example", "exec")
    for part in (
        f'naiad.Client("{URL}")',
        '"few": [1.5, 2.5]',
        '"many": np.zeros((3, 100), "int64")',
        "\"texts\": np.full((20,), b'word', object)",
    ):
        assert part in call


def test_a_model_without_example_is_asked_what_it_takes():
    call = example_call(URL, "simple", None)
    compile(call, "example", "exec")
    assert '.metadata("simple")' in call


@pytest.mark.parametrize("pipelines", [[], ["nugraph3", "other.py:Other"]])
def test_weights_without_a_single_pipeline_are_a_usage_error(pipelines: list[str]):
    result = CliRunner().invoke(app, ["serve", *pipelines, "--weights", "w"])
    assert result.exit_code == 2
    assert "single PIPELINE" in result.output


def test_models_to_load_without_explicit_control_are_a_usage_error():
    result = CliRunner().invoke(app, ["serve", "nugraph3", "--load", "gat_test"])
    assert result.exit_code == 2
    assert "--model-control-mode explicit" in result.output


def test_the_example_of_a_bundle_is_the_command_of_all_bundles():
    spec = "naiad.applications.medical.bundle.pipeline:bundle(weights)"
    assert example_call(URL, "spleen", {}, spec) == f"naiad infer bundle scan.nii.gz --url {URL}"


def test_reloading_and_polling_contradict_each_other():
    result = CliRunner().invoke(
        app, ["serve", "my.py:M", "--reload", "--model-control-mode", "poll"]
    )
    assert result.exit_code == 2
    assert "--reload replaces models itself" in result.output
