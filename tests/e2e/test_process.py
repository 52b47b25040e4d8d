"""``naiad process`` with the real Triton: killed and resumed, a lost server, bad data."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
from tests.support import forks
from typer.testing import CliRunner

from naiad import testing
from naiad.applications.image.schema import SHAPES
from naiad.applications.image.shapes import draw
from naiad.applications.nugraph.events import open_events, write_events
from naiad.applications.nugraph.result_files import read_results, write_results
from naiad.applications.nugraph.results import NuGraph3Result
from naiad.applications.nugraph.simulate import simulate
from naiad.bulk.merging import read_provenance
from naiad.cli.main import app
from naiad.triton.server import Server

NAIAD = forks.naiad()
PER_FILE = (70, 33, 50)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with testing.serve("nugraph3", "image", instances=1) as server:
        yield server


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder of event files of different lengths, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp("events")
    source = iter(simulate(sum(PER_FILE), seed=3))
    names = ("run1.h5", "run2.h5", "more/run3.h5")
    for name, count in zip(names, PER_FILE, strict=True):
        write_events(folder / name, islice(source, count))
    return folder


def process(*words: object) -> list[str]:
    return ["process", *map(str, words)]


def assert_equal(found: NuGraph3Result, wanted: NuGraph3Result) -> None:
    assert (found.run, found.subrun, found.event) == (wanted.run, wanted.subrun, wanted.event)
    assert found.labels == wanted.labels
    np.testing.assert_allclose(found.vertex, wanted.vertex, atol=5e-4)
    for column in ("hit_id", "plane", "wire", "time"):
        assert (found.hits[column] == wanted.hits[column]).all()
    np.testing.assert_allclose(found.hits["filter"], wanted.hits["filter"], atol=1e-5)


def assert_complete(events: Path, results: Path, suffix: str = "h5") -> None:
    """Check that every event is in the results once, in its place."""
    for name, count in zip(("run1", "run2", "more/run3"), PER_FILE, strict=True):
        with open_events(events / f"{name}.h5", truth=False) as file:
            ids = [(r.run, r.subrun, r.event) for r in read_results(results / f"{name}.{suffix}")]
            assert ids == [tuple(row) for row in file.ids.tolist()]
            assert len(ids) == count


def test_a_killed_run_resumes_and_gives_the_results_of_infer(
    server: Server, events: Path, tmp_path: Path
) -> None:
    rng = random.Random(1)
    words = process("nugraph3", events, "-o", tmp_path, "--chunk", 16)
    command = [*NAIAD, *words, "--server", server.grpc_url]
    for _ in range(2):
        with subprocess.Popen(command) as killed:
            parts = rng.randrange(1, 5)
            while killed.poll() is None and len(list(tmp_path.rglob("*.done"))) < parts:
                time.sleep(0.02)
            killed.kill()
    subprocess.run(command, check=True, capture_output=True)
    with server.client() as client:
        for name in ("run1", "run2", "more/run3"):
            path = tmp_path / f"{name}.h5"
            with open_events(events / f"{name}.h5", truth=False) as file:
                wanted = client.nugraph3.infer_many(file)
                for one, other in zip(read_results(path), wanted, strict=True):
                    assert_equal(one, other)
                about = read_provenance(path)
                assert about is not None
                assert about["written"] == len(file)
            assert len(about["weights_sha256"]) == 64
            assert about["servers"][0]["triton"] == "2.51.0"
            assert "not for physics" in about["notice"]


@forks.new_processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_stopped_run_leaves_nothing_behind_and_resumes(
    server: Server, events: Path, tmp_path: Path, number: signal.Signals
) -> None:
    running = ["--server", server.grpc_url]
    suffix, place = {signal.SIGINT: ("h5", ["--local"]), signal.SIGTERM: ("parquet", running)}[
        number
    ]
    words = process("nugraph3", events, "-o", tmp_path, "--format", suffix, "--chunk", 4)
    command = [*forks.naiad(), *words]
    # Ctrl-C goes to all processes of the terminal's group.
    with subprocess.Popen(
        [*command, *place], start_new_session=True, stderr=subprocess.PIPE, text=True
    ) as stopped:
        while len(list(tmp_path.rglob("*.done"))) < 2:
            assert stopped.poll() is None
            time.sleep(0.02)
        started = psutil.Process(stopped.pid).children(recursive=True)
        os.killpg(stopped.pid, number)
        _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 128 + number, said
    assert f"Finished work is in {tmp_path}; run the same command to resume" in said
    assert "Traceback" not in said
    assert bool(started) == ("--local" in place)
    assert psutil.wait_procs(started, 10)[1] == []
    assert len(list(tmp_path.rglob("*.done"))) >= 2
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".0")] == []  # drafts
    subprocess.run([*command, *running], check=True, capture_output=True)
    assert_complete(events, tmp_path, suffix)


def test_merged_parts_equal_a_single_file(server: Server, events: Path, tmp_path: Path) -> None:
    words = process("nugraph3", events / "run1.h5", "-o", tmp_path / "bulk", "--chunk", 16)
    result = CliRunner().invoke(app, [*words, "--server", server.grpc_url])
    assert result.exit_code == 0, result.output
    assert f"{PER_FILE[0]} events of 1 input are in" in result.output
    merged = tmp_path / "bulk" / "run1.h5"
    at_once = write_results(list(read_results(merged)), tmp_path / "at_once.h5")
    with h5py.File(merged) as one, h5py.File(at_once) as other:
        for table in ("event_table", "hit_table"):
            assert one[table].keys() == other[table].keys()
            for name, column in one[table].items():
                assert (column[:] == other[table][name][:]).all(), name


def test_bad_events_are_listed_and_the_others_are_done(
    server: Server, events: Path, tmp_path: Path
) -> None:
    shutil.copy(events / "run2.h5", tmp_path / "run2.h5")
    with h5py.File(tmp_path / "run2.h5", "r+") as file:
        counts = file["hit_table/event_id.seq_cnt"][:, 1]
        for event in (3, 20):  # the last hit of each is on an unknown plane
            file["hit_table/local_plane"][int(counts[: event + 1].sum()) - 1] = 3
    (tmp_path / "letter.h5").write_text("dear Lena")
    words = process("nugraph3", tmp_path / "run2.h5", tmp_path / "letter.h5", "-o", tmp_path / "o")
    result = CliRunner().invoke(app, [*words, "--server", server.grpc_url])
    assert result.exit_code == 1
    assert "2 events failed" in result.output
    with (tmp_path / "o" / "failures.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [Path(row["file"]).name for row in rows] == ["letter.h5", "run2.h5", "run2.h5"]
    assert [row["number"] for row in rows] == ["", "3", "20"]
    assert all("is 3; it must be 0 (u), 1 (v) or 2 (y)" in row["reason"] for row in rows[1:])
    assert rows[1]["name"].startswith("run ")
    assert len(list(read_results(tmp_path / "o" / "run2.h5"))) == PER_FILE[1] - 2


def test_a_dying_server_loses_no_event(server: Server, events: Path, tmp_path: Path) -> None:
    command = [*NAIAD, *process("nugraph3", events, "-o", tmp_path, "--chunk", 8)]
    with testing.serve("nugraph3", instances=1) as other:
        urls = ["--server", server.grpc_url, "--server", other.grpc_url]
        with subprocess.Popen([*command, *urls], stderr=subprocess.PIPE, text=True) as running:
            while not list(tmp_path.rglob("*.done")):
                assert running.poll() is None
                time.sleep(0.02)
            psutil.Process(other.pid).kill()
            _, said = running.communicate(timeout=120)
        assert running.returncode == 0, said
        assert f"{other.grpc_url} is not used for now" in said
    assert_complete(events, tmp_path)


def test_a_folder_of_images_becomes_a_table(server: Server, tmp_path: Path) -> None:
    from pyarrow import parquet

    rng = np.random.default_rng(5)
    (tmp_path / "photos").mkdir()
    for number, shape in enumerate(SHAPES):
        draw(shape, rng).save(tmp_path / "photos" / f"{number}-{shape}.png")
    (tmp_path / "photos" / "letter.jpg").write_text("dear Lena")
    words = process("image", tmp_path / "photos", "-o", tmp_path / "o", "--top", 2, "--chunk", 3)
    result = CliRunner().invoke(app, [*words, "--server", server.grpc_url])
    assert result.exit_code == 1, result.output
    table = parquet.read_table(tmp_path / "o" / "photos.parquet").to_pylist()
    assert [row["rank"] for row in table] == [1, 2] * len(SHAPES)
    best = [row for row in table if row["rank"] == 1]
    assert sum(row["label"] in row["file"] for row in best) >= 0.8 * len(SHAPES)
    about = read_provenance(tmp_path / "o" / "photos.parquet")
    assert about is not None
    assert (about["failed"], about["options"]) == (1, {"top": 2})
    assert len(about["weights_sha256"]) == 64
    failures = (tmp_path / "o" / "failures.csv").read_text()
    assert 'letter.jpg,"images[0] is not a readable image' in failures
