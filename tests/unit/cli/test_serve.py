import pytest
from typer.testing import CliRunner

from naiad.cli.main import app


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--weights", "w"], "--weights applies to a PIPELINE; name it"),
        (["gat", "simple", "--weights", "a", "--weights", "b"], "give each as NAME=PATH"),
        (["gat", "simple", "--set", "a=1"], "--set applies to a single PIPELINE"),
        (
            ["gat", "--bundle", "b", "--weights", "w"],
            "--weights PATH is not for models that other options ask for",
        ),
    ],
)
def test_what_cannot_be_for_these_pipelines_is_a_usage_error(words: list[str], message: str):
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["serve", *words])
    assert result.exit_code == 2
    assert message in result.output


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
