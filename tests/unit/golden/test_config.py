"""The config.pbtxt of every application is unchanged."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.support.golden import Golden, stored
from tests.unit.applications.medical.bundle.bundles import SEGMENTED, folder, metadata

from naiad import export
from naiad.application import application, applications
from naiad.applications.medical.bundle.pipeline import bundle_spec

NAMES = {app.name for app in applications()}


@pytest.mark.parametrize("name", sorted(NAMES | stored("config")))
def test_the_config_is_unchanged(name: str, golden: Golden, tmp_path: Path) -> None:
    found = application(name)
    if found is None:
        golden.check(f"config/{name}.pbtxt", None)
        return
    pipeline = name
    if name == "bundle":
        pipeline = bundle_spec(folder(tmp_path / "bundle", metadata(SEGMENTED)))
    model = export(pipeline, tmp_path / "models", portable=False)
    assert model.name == found.model
    files = sorted(str(file.relative_to(model.path)) for file in model.path.rglob("*.txt"))
    text = (model.path / "config.pbtxt").read_text("utf-8")
    shutil.rmtree(tmp_path)  # some weights are large
    # Weights are retrained now and then.
    text = re.sub(r'"[0-9a-f]{64}"', '"SHA256"', text)
    golden.check(f"config/{name}.pbtxt", text + "".join(f"# {file}\n" for file in files))
