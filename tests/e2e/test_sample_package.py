"""The sample package in examples/, installed as users do, has all features of Naiad's own."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from tests.support import forks
from tests.support.command import naiad_serve, shown_when_ready, urls_shown

import naiad

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "argon_clusters"
NAME = "argon_clusters"
CLUSTER = "3\n\nAr 0 0 0\nAr 3.8 0 0\nAr 0 3.9 0\n"


@dataclass(frozen=True)
class Installed:
    """The installed package, some clusters in ``folder``, and a server with ``--ui``."""

    target: Path
    folder: Path
    url: str
    page: str


def run(*arguments: str | Path, status: int = 0) -> str:
    """Run ``naiad`` and return its output."""
    done = subprocess.run(
        [*forks.naiad(), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=250,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    target, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("data")
    install = ["uv", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", *install, "--python", sys.executable, "--target", target, SAMPLE],
        check=True,
    )
    path = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        run("simulate", NAME, "-n", 6, "-o", folder / "clusters", "--seed", 5)
        with naiad_serve(NAME, "--instances", "1", "--ui") as server:
            shown = urls_shown(shown_when_ready(server))
            yield Installed(target, folder, shown["gRPC"], shown["page"])


def energies(table: Path) -> dict[str, float]:
    with table.open(newline="") as file:
        return {Path(row["file"]).name: float(row["energy"]) for row in csv.DictReader(file)}


def stated(folder: Path) -> dict[str, float]:
    """Return the energies stored with the simulated atoms."""
    return {
        path.name: float(path.read_text().splitlines()[1].split()[1]) for path in folder.iterdir()
    }


def test_infer_prints_tables_and_pictures_of_energies(sample: Installed, tmp_path: Path) -> None:
    (tmp_path / "letter.xyz").write_text("dear\nLena\nhow are you?")
    table, picture = tmp_path / "energies.csv", tmp_path / "cluster.png"
    given = (sample.folder / "clusters", tmp_path / "letter.xyz", "--url", sample.url)
    printed = run("infer", NAME, *given, "-o", table, "--plot", picture, status=1)
    assert "letter.xyz: is not an XYZ file" in printed
    assert re.search(r"0000\.xyz +\d+ +-\d", printed)
    assert "Fitted to Lennard-Jones energies" in printed
    found, expected = energies(table), stated(sample.folder / "clusters")
    assert found == pytest.approx(expected, rel=0.02, abs=2)
    assert len(found) == 6
    with Image.open(picture) as drawn:
        assert len(drawn.getcolors(1 << 24) or ()) > 50


def test_it_is_called_over_http_and_in_the_document(sample: Installed) -> None:
    clusters = sorted((sample.folder / "clusters").iterdir())
    files = [("files", (path.name, path.read_bytes())) for path in clusters]
    answer = requests.post(f"{sample.page}/v1/tasks/{NAME}", files=files, timeout=60).json()
    found = {one["name"]: one["rows"][0]["energy"] for one in answer["answers"]}
    assert found == pytest.approx(stated(sample.folder / "clusters"), rel=0.02, abs=2)
    paths = requests.get(f"{sample.page}/openapi.json", timeout=60).json()["paths"]
    assert {f"/v1/tasks/{NAME}", f"/v2/models/{NAME}/infer"} <= paths.keys()


def test_process_writes_one_table_for_a_folder(sample: Installed, tmp_path: Path) -> None:
    given = (sample.folder / "clusters", "--server", sample.url, "--format", "csv")
    run("process", NAME, *given, "-o", tmp_path / "out")
    found = energies(tmp_path / "out" / "clusters.csv")
    assert found == pytest.approx(stated(sample.folder / "clusters"), rel=0.02, abs=2)


def test_trained_weights_are_served_for_one_command(sample: Installed, tmp_path: Path) -> None:
    assert re.search(r"mean error 0\.\d\d meV", run("train", NAME, "-o", tmp_path / "fitted"))
    table, clusters = tmp_path / "energies.csv", sample.folder / "clusters"
    local = ("--local", "--weights", tmp_path / "fitted")
    run("infer", NAME, clusters, *local, "-o", table)
    assert energies(table) == pytest.approx(stated(clusters), rel=0.02, abs=2)


def test_the_typed_client_gives_results_and_errors(sample: Installed) -> None:
    program = f"""
import naiad, numpy as np
with naiad.Client("{sample.url}") as client:
    atoms = np.array([[0, 0, 0], [3.8, 0, 0], [0, 3.9, 0]])
    one = client.{NAME}.infer(atoms)
    assert one.total == np.float32(sum(one.atoms)) or abs(one.total - sum(one.atoms)) < 1e-3
    found = list(client.{NAME}.try_many([atoms, atoms / 3]))
    assert found[0].total == one.total
    print(round(one.total), found[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ
    )
    energy, _, error = done.stdout.strip().partition(" ")
    assert error == (
        "positions[0] and positions[1] are 1.27 angstrom apart; the potential begins at 3.3"
    ), done.stderr
    pairs = np.array([3.8, 3.9, np.hypot(3.8, 3.9)])
    power = (3.40 / pairs) ** 6
    assert int(energy) == pytest.approx(4 * 10.4 * (power**2 - power).sum(), abs=2)


async def test_agents_have_a_tool_for_it(sample: Installed) -> None:
    from mcp import Client, StdioServerParameters

    code = "from naiad.cli.main import main; main()"
    given = ("mcp", "--url", sample.url, "--folder", str(sample.folder))
    start = StdioServerParameters(
        command=sys.executable, args=["-c", code, *given], env={**os.environ}
    )
    async with Client(start, read_timeout_seconds=60) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert "clusters (.xyz)" in str(tools[NAME].input_schema["properties"]["files"])
        found = await client.call_tool(NAME, {"files": ["clusters"]})
    answers = found.structured_content["answers"]
    energies = {Path(one["name"]).name: one["rows"][0]["energy"] for one in answers}
    assert energies == pytest.approx(stated(sample.folder / "clusters"), rel=0.02, abs=2)
    assert [one.type for one in found.content] == ["text", "image"]


def test_bench_takes_its_files_as_requests(sample: Installed, tmp_path: Path) -> None:
    given = ("--url", sample.url, "--concurrency", 2, "--duration", "500ms", "-o", tmp_path)
    run("bench", NAME, *given, "--data", sample.folder / "clusters")
    report = json.loads((tmp_path / "report.json").read_text())
    assert "the first 6 of" in report["requests"]


def test_the_table_in_the_docs_lists_it(sample: Installed) -> None:
    program = "import tables; print(tables.application_table())"
    path = os.pathsep.join([str(ROOT / "docs"), os.environ["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    (row,) = (line for line in done.stdout.splitlines() if NAME in line)
    assert "clusters (.xyz)" in row
    assert "`energy` (meV)" in row


def test_a_file_with_the_class_works_without_a_package(tmp_path: Path) -> None:
    (tmp_path / "cluster.xyz").write_text(CLUSTER)
    package = SAMPLE / NAME
    with naiad_serve(f"{package / 'pipeline.py'}:ArgonClusters", "--instances", "1") as server:
        url = urls_shown(shown_when_ready(server))["gRPC"]
        spec = f"{package / 'task.py'}:ArgonClustersTask"
        printed = run("infer", spec, tmp_path / "cluster.xyz", "--url", url)
    assert re.search(r"cluster\.xyz +3 +-\d", printed)
    assert "Predict the binding energy" in run("infer", spec, "--help")


def test_the_framework_does_not_know_it_and_it_is_small() -> None:
    source = Path(naiad.__file__).parent
    files = [path for path in source.rglob("*") if path.suffix in (".py", ".cpp", ".h", ".toml")]
    assert len(files) > 300
    assert not [path for path in files if re.search("argon.?clusters", path.read_text("utf-8"))]
    lines = sum(len(path.read_text().splitlines()) for path in SAMPLE.rglob("*.py"))
    assert lines <= 150
