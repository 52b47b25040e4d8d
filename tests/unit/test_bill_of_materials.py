"""The software bill of materials in the wheel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.support.markdown import ROOT

from naiad.engine_release import RELEASE

pytestmark = pytest.mark.slow  # builds a wheel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

# The build's sources, as copied by deploy/apptainer.def.
SOURCES = (
    *("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "src"),
    *("scripts/native.py", "scripts/sbom.py"),
)


def build(source: Path, folder: Path) -> zipfile.ZipFile:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--wheel-dir", folder, source),
        ],
        check=True,
    )
    (wheel,) = folder.glob("naiad-*.whl")
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the bill of a wheel built from a copy, so that the build disturbs no other tests."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        (source / name).parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, source / name)
    with build(source, folder) as wheel:
        (path,) = [name for name in wheel.namelist() if ".dist-info/sboms/" in name]
        assert path == f"naiad-{PROJECT['project']['version']}.dist-info/sboms/naiad.cdx.json"
        assert not any("sbom.py" in name or "hatch_build" in name for name in wheel.namelist())
        libraries = [name for name in wheel.namelist() if name.endswith("libtriton_naiad.so")]
        machines = {int.from_bytes(wheel.read(name)[18:20], "little") for name in libraries}
        assert machines == {62, 183}, "ELF's numbers of x86-64 and aarch64"
        return json.loads(wheel.read(path))


@pytest.mark.slow
def test_the_bill_is_valid(bill: dict[str, Any]) -> None:
    assert bill["specVersion"] == "1.6"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None


def test_the_bill_is_of_this_version(bill: dict[str, Any]) -> None:
    naiad = bill["metadata"]["component"]
    assert naiad["purl"] == f"pkg:pypi/naiad@{PROJECT['project']['version']}"


def test_every_requirement_is_in_the_bill_as_declared(bill: dict[str, Any]) -> None:
    declared = {
        ("naiad:requirement", text): Requirement(text).name
        for text in PROJECT["project"]["dependencies"]
    }
    extras = {
        **PROJECT["project"]["optional-dependencies"],
        "build-system": PROJECT["build-system"]["requires"],
    }
    for extra, requirements in extras.items():
        for text in requirements:
            if Requirement(text).name != "naiad":
                declared[f"naiad:requirement:{extra}", text] = Requirement(text).name
    there = {
        (entry["name"], str(Requirement(entry["value"]))): component["purl"]
        for component in bill["components"]
        for entry in component.get("properties", ())
        if entry["name"].startswith("naiad:requirement")
    }
    for (kind, text), name in declared.items():
        purl = there.pop((kind, str(Requirement(text))))
        assert purl.partition("@")[0] == f"pkg:pypi/{canonicalize_name(name)}"
    assert not there


def test_the_clients_requirements_are_required_and_those_of_tests_are_not_shipped(
    bill: dict[str, Any],
) -> None:
    scopes = {component["name"]: component["scope"] for component in bill["components"]}
    required = {Requirement(text).name for text in PROJECT["project"]["dependencies"]}
    assert {name for name, scope in scopes.items() if scope == "required"} == required
    assert scopes["torch"] == scopes["nvidia-pytriton"] == "optional"
    assert scopes["pytest"] == scopes["hatchling"] == "excluded"
    (dependencies,) = [d["dependsOn"] for d in bill["dependencies"] if d["ref"] == "naiad"]
    assert {ref.removeprefix("pypi/") for ref in dependencies} == required


def test_the_embedded_engine_is_in_the_bill_for_scanners_to_find(bill: dict[str, Any]) -> None:
    (wheel,) = [c for c in bill["components"] if c["name"] == "nvidia-pytriton"]
    assert wheel["purl"] == f"pkg:pypi/{RELEASE.package}@{RELEASE.version}"
    hashes = {r["comment"]: r["hashes"][0]["content"] for r in wheel["externalReferences"]}
    assert hashes == {known.filename: known.sha256 for known in RELEASE.wheels}
    (engine,) = wheel["components"]
    assert (engine["name"], engine["version"]) == ("tritonserver", "2.51.0")
    assert ":nvidia:triton_inference_server:24.10:" in engine["cpe"]


def test_the_files_that_naiad_fetches_are_in_the_bill_with_their_hashes(
    bill: dict[str, Any],
) -> None:
    known = json.loads((ROOT / "src" / "naiad" / "artifacts.json").read_text("utf-8"))
    files = [c for c in bill["components"] if c["type"] == "file"]
    assert {
        (c["name"], c["hashes"][0]["content"], c["externalReferences"][0]["url"]) for c in files
    } == {(a["filename"], a.get("sha256") or a["md5"], a["url"]) for a in known}
    licences = {c["name"]: c["licenses"][0]["license"]["id"] for c in files if "licenses" in c}
    assert licences["mobilenetv2-7.onnx"] == "Apache-2.0"


def test_the_same_source_has_the_same_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1796000000")
    first, second = [
        subprocess.run(
            [sys.executable, ROOT / "scripts" / "sbom.py"], capture_output=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert first == second
