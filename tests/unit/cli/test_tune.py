from __future__ import annotations

import pytest
from typer.testing import CliRunner

from naiad.cli.main import app
from naiad.errors import InvalidInput, NaiadError

DEGREE = f"{__file__.rpartition('/cli/')[0]}/runtime/degree.py:Degree"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonesuch"], "no pipeline 'nonesuch'; built in are"),
        ([DEGREE, "--data", "nothing.npz"], "nothing.npz: no such file or folder"),
        ([DEGREE, "--weights", "nothing"], "nothing: weights for degree not found"),
    ],
)
def test_what_is_not_there_is_told_before_any_work(arguments, message, tmp_path):
    result = CliRunner().invoke(app, ["tune", *arguments, "--output", str(tmp_path)])
    assert isinstance(result.exception, NaiadError)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_tuning_of_no_pipeline_here_is_refused(tmp_path):
    from tests.unit.test_tuning import TUNING

    path = tmp_path / "tuning.json"
    path.write_text(TUNING.to_json().replace('"degree"', '"gat"'))
    for arguments in (["serve", DEGREE], ["export", DEGREE, str(tmp_path / "models")]):
        result = CliRunner().invoke(app, [*arguments, "--tuning", str(path)])
        assert isinstance(result.exception, InvalidInput)
        assert "is a tuning of model gat" in str(result.exception)
