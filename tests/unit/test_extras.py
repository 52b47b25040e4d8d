"""The extras: their names, their table, and the command that installs one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from tests.support.doc_tables import tables
from tests.support.markdown import PAGES, ROOT

from naiad.application import applications
from naiad.errors import MissingExtra

PACKAGE = ROOT / "src" / "naiad"
DISTRIBUTIONS = cache(packages_distributions)


@pytest.mark.parametrize("name", [application.name for application in applications()])
def test_the_extra_of_an_application_has_what_it_needs(name: str) -> None:
    (application,) = (one for one in applications() if one.name == name)
    there = DISTRIBUTIONS()
    needed = {canonicalize_name(there[package][0]) for package in application.packages}
    extras = tables.extras()
    assert needed <= {
        canonicalize_name(package) for package in tables.packages(canonicalize_name(name), extras)
    }


def test_every_extra_is_in_the_table_or_a_former_name_or_for_developers() -> None:
    extras = tables.extras()
    aliases = {name for name in extras if tables.alias_of(name, extras) in tables.EXTRAS}
    other = tables.FORMER | tables.FOR_DEVELOPERS
    assert extras.keys() == tables.EXTRAS.keys() | aliases | other
    table = tables.on_page_markdown((ROOT / "docs" / "install.md").read_text("utf-8"))
    for name in extras.keys() - other:
        assert re.search(rf"^\| .*`{name}`.* \|", table, re.MULTILINE)


def test_the_extra_all_includes_every_application() -> None:
    extras = tables.extras()
    everything = tables.packages("all", extras)
    for application in applications():
        assert tables.packages(canonicalize_name(application.name), extras) <= everything


def test_the_extras_that_messages_and_pages_name_exist() -> None:
    named = {
        *(
            name
            for path in PACKAGE.rglob("*.py")
            for name in re.findall(
                r'(?:MissingExtra\(|EXTRA: Final = |install_command\()"([\w-]+)"',
                path.read_text("utf-8"),
            )
        ),
        *(
            name
            for page in PAGES
            for names in re.findall(r"(?:naiad|\.)\[([\w,-]+)\]", page.read_text("utf-8"))
            for name in names.split(",")
        ),
    }
    assert len(named) > 15
    assert named <= tables.extras().keys() - tables.FORMER


def test_no_page_installs_a_release_that_does_not_exist() -> None:
    for page in PAGES:
        assert not re.search(r"pip install [^`\n]*naiad\[", page.read_text("utf-8")), page.name


def test_a_clone_is_installed_from_its_folder() -> None:
    error = MissingExtra("gat", "torch")
    assert str(error) == (
        f'torch is needed here and is not installed; run: pip install -e "{ROOT}[gat]"'
    )


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({"url": "file:///data/naiad", "dir_info": {}}, "naiad[gat] @ file:///data/naiad"),
        (None, "naiad[gat]"),
    ],
)
def test_an_installed_naiad_names_where_it_came_from(
    tmp_path: Path, origin: dict[str, object] | None, command: str
) -> None:
    (tmp_path / "naiad").mkdir()
    (tmp_path / "naiad" / "__init__.py").touch()
    shutil.copy(PACKAGE / "errors.py", tmp_path / "naiad")
    metadata = tmp_path / "naiad-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: naiad\nVersion: 0.1.0\n")
    if origin is not None:
        (metadata / "direct_url.json").write_text(json.dumps(origin))
    code = "from naiad.errors import install_command; print(install_command('gat'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True
    )
    assert done.stdout == f'pip install "{command}"\n', done.stderr
