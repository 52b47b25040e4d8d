"""The published vulnerabilities in docs/security.md."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
import yaml
from tests.support.markdown import ROOT

GROUPS: list[dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "cves.yaml").read_text("utf-8"))
CVES = [cve for group in GROUPS for cve in group["cves"]]
ENGINE = "24.10"


def functions_of(path: str) -> set[str]:
    source = ROOT / path
    if not source.is_file():
        return set()
    return {
        node.name
        for node in ast.parse(source.read_text("utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group["name"])
def test_every_vulnerability_has_a_remedy_and_its_status_on_loopback(
    group: dict[str, Any],
) -> None:
    assert group["cves"]
    assert group["reach"]
    assert group["remedy"]
    assert group["loopback"] in {"closed", "partly", "open", "not used", "not shipped"}


@pytest.mark.parametrize(
    "test", sorted({test for group in GROUPS for test in group["tests"]}), ids=str
)
def test_the_named_tests_exist(test: str) -> None:
    path, _, function = test.partition("::")
    assert function in functions_of(path)


def test_every_vulnerability_has_a_test() -> None:
    assert [group["name"] for group in GROUPS if not group["tests"]] == []


@pytest.mark.parametrize("cve", CVES, ids=lambda cve: cve["id"])
def test_the_facts_of_a_vulnerability_are_complete(cve: dict[str, Any]) -> None:
    assert re.fullmatch(r"CVE-\d{4}-\d{4,}", cve["id"])
    assert 0 < cve["cvss"] <= 10
    assert re.fullmatch(r"CWE-\d+", cve["cwe"])
    assert re.fullmatch(r"\d\d\.\d\d", cve["fixed"])
    assert cve["fixed"] > ENGINE
    assert cve["bulletin"]
    assert cve["date"].year >= 2025
    assert cve["part"]


def test_no_vulnerability_is_listed_twice_and_their_number_is_right() -> None:
    assert len({cve["id"] for cve in CVES}) == len(CVES)
    absent = sum(
        len(group["cves"]) for group in GROUPS if group["loopback"] in {"not used", "not shipped"}
    )
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    assert f"range of {len(CVES) - absent} " in page.replace("\n", " ")


def test_the_named_patched_triton_has_every_fix() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    named = set(re.findall(r"tritonserver:(\d\d\.\d\d)-py3", page))
    assert named
    assert min(named) >= max(cve["fixed"] for cve in CVES)


def test_security_md_points_to_the_page() -> None:
    policy = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "(docs/security.md)" in policy
    assert "Report a" in policy
