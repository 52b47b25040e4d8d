"""What `naiad watch` refuses before it asks anybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from naiad.cli.main import app

ARCHIVE = "http://127.0.0.1:9/dicom-web"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--to", ARCHIVE],
            "give the archive to watch with --from, and a place for results",
        ),
        (["--from", ARCHIVE], "give the archive to watch with --from"),
        (["--from", "scans", "--to", "out"], "for a folder there is naiad infer --from"),
        (
            ["--from", ARCHIVE, "--to", f"{ARCHIVE}/", "--deidentify", "--deidentified-images"],
            "would get the de-identified images as new studies",
        ),
        (
            ["--from", ARCHIVE, "--to", "out", "--deidentify-key", "key"],
            "--deidentify-key requires --deidentify",
        ),
        (["--from", ARCHIVE, "--to", "out", "--objects", "pdf"], "--objects pdf: give seg, sr"),
    ],
)
def test_a_watch_that_cannot_be_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    run = CliRunner().invoke(
        app, ["watch", "covid_ct", *arguments, "--journal", str(tmp_path / "watch.db")]
    )
    assert run.exit_code == 1
    assert said in str(run.exception)
    assert not list(tmp_path.iterdir())
