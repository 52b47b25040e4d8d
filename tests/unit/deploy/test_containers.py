"""The files that images are built from are linted, and agree with each other and the package."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.chart import rendered
from tests.support.markdown import ROOT

import naiad
from naiad.triton.engine_files import CONTAINER

DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent
SCRIPTS = sorted([*DEPLOY.glob("*.sh"), *(ROOT / "scripts").glob("*.sh")])
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
DEFINITION = (DEPLOY / "apptainer.def").read_text("utf-8")


def sections(definition: str) -> dict[str, str]:
    """Return the parts of an Apptainer definition by name; "" before the first."""
    parts = re.split(r"^%(\w+)\n", definition, flags=re.MULTILINE)
    return dict(zip(["", *parts[1::2]], [parts[0], *parts[2::2]], strict=True))


def lint(*command: str | Path, text: str | None = None) -> None:
    found = subprocess.run(command, input=text, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_hadolint_finds_no_fault_with_the_dockerfile() -> None:
    lint(TOOLS / "hadolint", DEPLOY / "Dockerfile")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_no_fault_with_a_script(script: Path) -> None:
    lint(TOOLS / "shellcheck", script)
    assert script.read_text().splitlines()[0] == "#!/bin/sh"


@pytest.mark.parametrize("part", ["post", "environment", "runscript", "startscript", "test"])
def test_shellcheck_finds_no_fault_with_the_definition(part: str) -> None:
    lint(TOOLS / "shellcheck", "--shell=sh", "-", text=sections(DEFINITION)[part])


def test_the_definition_copies_what_is_there_and_is_used() -> None:
    parts = sections(DEFINITION)
    copied = dict(line.split() for line in parts["files"].splitlines() if line.strip())
    assert all((ROOT / source).exists() for source in copied)
    assert "sh /src/deploy/install.sh /src /opt/naiad" in parts["post"]
    assert copied["deploy/install.sh"] == "/src/deploy/install.sh"
    # The same files as those visible to the Dockerfile.
    seen = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in seen if line.startswith("!")} == set(copied)


def test_images_have_one_base_one_user_and_one_version() -> None:
    (base,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert f"From: {base}\n" in DEFINITION
    assert f"BASE={CONTAINER}" in DOCKERFILE
    assert CONTAINER in DEFINITION
    assert set(re.findall(r"naiad:(\d+\.\d+\.\d+)", DOCKERFILE)) == {naiad.__version__}
    users = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    (user,) = {number for pair in users for number in pair}
    assert f"--uid {user} --gid {user}" in (DEPLOY / "install.sh").read_text()
    assert f"--reuid {user} --regid {user}" in (ROOT / "scripts" / "sandboxed.sh").read_text()


def test_the_chart_runs_the_image_as_it_is_built(tmp_path: Path) -> None:
    pod = rendered(tmp_path)["Deployment", "nu"]["spec"]["template"]["spec"]
    assert f"USER {pod['securityContext']['runAsUser']}:" in DOCKERFILE
    ports = {str(port["containerPort"]) for port in pod["containers"][0]["ports"]}
    (exposed,) = re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)
    assert ports == set(exposed.split())
    assert "command" not in pod["containers"][0], "the image's entry point is naiad"
    assert 'ENTRYPOINT ["tini", "--", "naiad"]' in DOCKERFILE


def test_the_health_check_is_python_that_asks_the_supervisor() -> None:
    (command,) = re.findall(r"CMD (\[\"python3\".+\])$", DOCKERFILE, re.MULTILINE)
    python, option, code = yaml.safe_load(command)
    assert (python, option) == ("python3", "-c")
    compile(code, "HEALTHCHECK", "exec")
    assert "127.0.0.1:8003/readyz" in code


def test_the_conda_environment_has_a_python_and_an_extra_that_exist() -> None:
    environment: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text())
    (python,) = [d for d in environment["dependencies"] if str(d).startswith("python=")]
    assert python.removeprefix("python=") in ("3.10", "3.11", "3.12")
    (pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    (extra,) = re.findall(r"^\.\[(\w+)\]$", "\n".join(pip), re.MULTILINE)
    assert extra in (metadata("naiad").get_all("Provides-Extra") or [])
    (constraint,) = [line.split()[1] for line in pip if line.startswith("--constraint")]
    assert (ROOT / constraint).is_file()
