"""Options that commands share."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from naiad.cli.main import app


@pytest.mark.parametrize(
    "application",
    ["nugraph3", "gat", "image", "covid_ct", "mednist", "zero_shot", "text_embedding", "products"],
)
def test_weights_are_for_a_server_that_is_started(application: str) -> None:
    command = ["infer", application, "7", "--weights", "folder"]
    command += ["--labels", "a,b"] if application == "zero_shot" else []
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "--weights requires --local" in done.output
