"""The workflows of continuous integration and of releases."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.markdown import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text("utf-8"))


@every_workflow
def test_actions_are_pinned_by_hash_beside_their_version(path: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: *(.+)$", path.read_text("utf-8"), re.MULTILINE)
    assert used
    for action in used:
        if not action.startswith("./"):  # our own, from the same commit
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_has_the_same_version_everywhere() -> None:
    pinned: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, pin in re.findall(r"uses: ([\w./-]+)@(.+)$", path.read_text(), re.MULTILINE):
            pinned.setdefault(action, set()).add(pin)
    assert {action: pins for action, pins in pinned.items() if len(pins) > 1} == {}


@every_workflow
def test_a_workflow_may_only_read_and_a_job_has_only_its_declared_rights(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    writes = {
        (name, scope)
        for name, job in workflow["jobs"].items()
        for scope, access in job.get("permissions", {}).items()
        if access == "write"
    }
    assert writes <= {
        ("attest", "id-token"),
        ("attest", "attestations"),
        ("publish", "id-token"),
        ("page", "contents"),
        ("publish", "contents"),
    }
    if workflow["permissions"] == {}:
        assert all("permissions" in job for job in workflow["jobs"].values())


@every_workflow
def test_a_checkout_leaves_no_credentials_behind(path: Path) -> None:
    for job in read(path)["jobs"].values():
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_only_tested_artifacts_are_published() -> None:
    jobs = read(GITHUB / "workflows" / "release.yml")["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["wheels"]["uses"] == "./.github/workflows/wheels.yml"
    assert set(jobs["attest"]["needs"]) == {"test", "version", "wheels"}
    assert jobs["publish"]["needs"] == "attest"
    tested = read(GITHUB / "workflows" / "ci.yml")["jobs"]["test"]
    assert tested["steps"][-1] == {"run": ".ci/run"}


def test_a_change_of_checked_files_runs_their_workflow() -> None:
    ran = {
        path.stem: read(path)[True]["pull_request"] for path in WORKFLOWS if path.stem != "release"
    }
    ignored = {"docs/**", "*.md", "mkdocs.yml"}
    assert set(ran["ci"]["paths-ignore"]) == ignored <= set(ran["docs"]["paths"])
    assert {"pyproject.toml", "hatch_build.py", "scripts/**"} <= set(ran["wheels"]["paths"])


def test_the_files_and_targets_that_workflows_call_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for path in WORKFLOWS:
        text = path.read_text("utf-8")
        assert set(re.findall(r"run: make ([\w-]+)", text)) <= set(targets)
        for called in re.findall(
            r"(?:(?<= )|(?<=: ))((?:\.ci|tests|clients|scripts)/[\w./]+)", text
        ):
            assert (ROOT / called).exists(), called


def test_pins_in_two_places_agree() -> None:
    pins: dict[str, set[str]] = {}
    for path in (*WORKFLOWS, ROOT / ".pre-commit-config.yaml"):
        for package, pin in re.findall(r"([a-z-]+)==([\d.]+)", path.read_text("utf-8")):
            pins.setdefault(package, set()).add(pin)
    assert len(pins) > 5
    assert {package: pin for package, pin in pins.items() if len(pin) > 1} == {}
    version = read(ROOT / "CITATION.cff")["version"]
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text("utf-8").splitlines()


def test_zizmor_finds_nothing() -> None:
    zizmor = Path(sys.prefix) / "bin" / "zizmor"
    done = subprocess.run(
        [zizmor, "--offline", "--no-config", "--no-progress", "--strict-collection", GITHUB],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
