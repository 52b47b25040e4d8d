import pytest
from typer.testing import CliRunner

from naiad.cli.main import app


@pytest.mark.parametrize("pipelines", [[], ["nugraph3", "other.py:Other"]])
def test_weights_without_a_single_pipeline_are_a_usage_error(pipelines: list[str]):
    result = CliRunner().invoke(app, ["serve", *pipelines, "--weights", "w"])
    assert result.exit_code == 2
    assert "single PIPELINE" in result.output


def test_models_to_load_without_explicit_control_are_a_usage_error():
    result = CliRunner().invoke(app, ["serve", "nugraph3", "--load", "gat_test"])
    assert result.exit_code == 2
    assert "--model-control-mode explicit" in result.output


def test_reloading_and_polling_contradict_each_other():
    result = CliRunner().invoke(
        app, ["serve", "my.py:M", "--reload", "--model-control-mode", "poll"]
    )
    assert result.exit_code == 2
    assert "--reload replaces models itself" in result.output
