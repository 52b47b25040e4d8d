from __future__ import annotations

import pytest
from typer.testing import CliRunner

from naiad.cli.main import app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--concurrency", "1,two"], "such as 1,2,4; not 'two'"),
        (["--concurrency", "0"], "not '0'"),
        (["--concurrency", "2.5"], "whole numbers"),
        (["--rate", "20,-1"], "not '-1'"),
        (["--duration", "10 parsecs"], "such as 250ms, 10s or 2m"),
        (["--duration", "0s"], "not a time above 0"),
        (["--find-max", "--p99", "fast"], "--p99"),
    ],
)
def test_a_setting_that_makes_no_sense_is_a_usage_error(arguments, message):
    result = CliRunner().invoke(app, ["bench", "simple", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
