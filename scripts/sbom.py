"""Naiad's software bill of materials (CycloneDX 1.6, JSON), derived from the project's metadata.

Components are the distributions in ``pyproject.toml`` (with their requirements as declared:
versions are chosen when Naiad is installed), the engine, inside the wheels in ``engine.json`` that
Naiad fetches, and the public files in ``artifacts.json``, which Naiad downloads on request.
``hatch_build.py`` puts it into the wheel.
Run as a program, it prints the bill:

    python scripts/sbom.py > naiad.cdx.json
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "naiad.cdx.json"

# Extras that running Naiad does not need; the build system counts as one of them.
BUILD = "build-system"
NOT_RUN = frozenset({"bench", "test", "dev", "docs", BUILD})


class Need(NamedTuple):
    """A requirement and the extra it belongs to; "" for an unconditional one."""

    requirement: Requirement
    extra: str


def bill_of_materials(root: Path) -> str:
    """Describe the project in ``root``, as JSON."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    naiad = _naiad(project["project"])
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, str(naiad.purl)))
    bom.metadata.timestamp = _timestamp()
    bom.metadata.component = naiad
    packages = list(_packages(needs(project)))
    bom.components.update(packages)
    required = [package for package in packages if package.scope is ComponentScope.REQUIRED]
    bom.register_dependency(naiad, required)
    data = root / "src" / "naiad"
    bom.components.add(_engine(json.loads((data / "engine.json").read_text("utf-8"))))
    bom.components.update(map(_artifact, json.loads((data / "artifacts.json").read_text("utf-8"))))
    return JsonV1Dot6(bom).output_as_string(indent=1)


def needs(project: dict[str, Any]) -> Iterator[Need]:
    """Yield every requirement in a ``pyproject.toml`` except those on its own extras."""
    extras = {
        "": project["project"]["dependencies"],
        **project["project"]["optional-dependencies"],
        BUILD: project["build-system"]["requires"],
    }
    for extra, requirements in extras.items():
        for text in requirements:
            requirement = Requirement(text)
            if requirement.name != project["project"]["name"]:
                yield Need(requirement, extra)


def _naiad(project: dict[str, Any]) -> Component:
    return Component(
        type=ComponentType.APPLICATION,
        name=project["name"],
        version=project["version"],
        description=project["description"],
        licenses=[DisjunctiveLicense(id=project["license"])],
        purl=PackageURL("pypi", name=project["name"], version=project["version"]),
        bom_ref="naiad",
    )


def _packages(needs: Iterable[Need]) -> Iterator[Component]:
    """Merge the requirements on each distribution into one component."""
    by_name: dict[str, list[Need]] = {}
    for need in needs:
        by_name.setdefault(canonicalize_name(need.requirement.name), []).append(need)
    for name, of_it in sorted(by_name.items()):
        pins = {str(need.requirement.specifier) for need in of_it}
        pin = re.fullmatch(r"==([^,*]+)", pins.pop()) if len(pins) == 1 else None
        version = pin[1] if pin else None
        yield Component(
            name=name,
            version=version,
            scope=_scope({need.extra for need in of_it}),
            purl=PackageURL("pypi", name=name, version=version),
            bom_ref=f"pypi/{name}",
            properties=[
                Property(
                    name=f"naiad:requirement:{need.extra}" if need.extra else "naiad:requirement",
                    value=str(need.requirement),
                )
                for need in of_it
            ],
        )


def _scope(extras: set[str]) -> ComponentScope:
    if "" in extras:
        return ComponentScope.REQUIRED
    return ComponentScope.EXCLUDED if extras <= NOT_RUN else ComponentScope.OPTIONAL


def _engine(release: dict[str, Any]) -> Component:
    """Return the package that contains Triton, with its wheels' hashes, and Triton in it."""
    triton, package, version = release["triton"], release["package"], release["version"]
    return Component(
        name=package,
        version=version,
        description="fetched at the first serve, or by `naiad engine install`; never installed",
        scope=ComponentScope.OPTIONAL,
        purl=PackageURL("pypi", name=package, version=version),
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(f"https://pypi.org/project/{package}/{version}/#{wheel['filename']}"),
                comment=wheel["filename"],
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel["sha256"])],
            )
            for wheel in release["wheels"]
        ],
        components=[
            Component(
                type=ComponentType.APPLICATION,
                name="tritonserver",
                version=triton,
                description=f"NVIDIA Triton Inference Server of release {release['release']}, "
                f"inside {package} {version}",
                supplier=OrganizationalEntity(name="NVIDIA Corporation"),
                licenses=[DisjunctiveLicense(id="BSD-3-Clause")],
                purl=PackageURL("github", "triton-inference-server", "server", f"v{triton}"),
                cpe=f"cpe:2.3:a:nvidia:triton_inference_server:{release['release']}:*:*:*:*:*:*:*",
                bom_ref="tritonserver",
            )
        ],
        bom_ref=f"engine/{package}",
    )


def _artifact(known: dict[str, Any]) -> Component:
    algorithm = HashAlgorithm.SHA_256 if "sha256" in known else HashAlgorithm.MD5
    digest = known.get("sha256") or known["md5"]
    licence = known["licence"]
    spdx = is_supported_id(licence)
    references = {ExternalReferenceType.DISTRIBUTION: known["url"]}
    if known.get("source"):
        references[ExternalReferenceType.WEBSITE] = known["source"]
    return Component(
        type=ComponentType.FILE,
        name=known["filename"],
        description=known["about"],
        scope=ComponentScope.OPTIONAL,
        hashes=[HashType(alg=algorithm, content=digest)],
        licenses=[DisjunctiveLicense(id=licence)] if spdx else [],
        external_references=[
            ExternalReference(type=kind, url=XsUri(url)) for kind, url in references.items()
        ],
        properties=[
            Property(name="naiad:artifact", value=known["name"]),
            *([] if spdx else [Property(name="naiad:licence", value=licence)]),
        ],
        bom_ref=f"artifact/{known['name']}",
    )


def _timestamp() -> datetime:
    """Return the time of the build; reproducible builds set it."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), timezone.utc) if epoch else datetime.now(timezone.utc)


if __name__ == "__main__":
    print(bill_of_materials(Path(__file__).parents[1]))
