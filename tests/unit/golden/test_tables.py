"""The columns of every file that a command writes are unchanged.

Each command runs against a server in this process that answers with the real pipeline.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pyarrow import parquet
from tests.support.golden import Golden, stored
from tests.unit.golden.served import serving
from typer.testing import CliRunner

import naiad.applications
from naiad import export
from naiad.cli.main import app

pytestmark = pytest.mark.slow

APPLICATIONS = Path(naiad.applications.__file__).parent
EVENTS = str(APPLICATIONS / "nugraph" / "data" / "example.h5")

# By golden file: the commands, with the file to compare last. {url} is the server's.
COMMANDS: dict[str, tuple[str, ...]] = {
    "nugraph2.parquet": (f"infer nugraph2 {EVENTS} --events 0 --url {{url}} -o out.parquet",),
    "nugraph2.h5": (f"infer nugraph2 {EVENTS} --events 0 --url {{url}} -o out.h5",),
    "nugraph3.parquet": (f"infer nugraph3 {EVENTS} --events 0 --url {{url}} -o out.parquet",),
    "nugraph3.h5": (f"infer nugraph3 {EVENTS} --events 0 --url {{url}} -o out.h5",),
    "nugraph3.process.h5": (f"process nugraph3 {EVENTS} --server {{url}} -o out",),
    "nugraph3.simulate.h5": ("simulate nugraph3 -n 1 -o out.h5",),
    "image.csv": ("simulate image -n 1 -o in", "infer image in --url {url} -o out.csv"),
    "image.process.parquet": (
        "simulate image -n 1 -o in",
        "process image in --server {url} -o out",
    ),
    "process.failures.csv": ("process image in --server {url} -o out",),
    "mednist.csv": ("simulate mednist -n 1 -o in", "infer mednist in --url {url} -o out.csv"),
    "covid_ct.csv": ("simulate covid_ct -n 1 -o in", "infer covid_ct in --url {url} -o out.csv"),
    "gat.csv": ("simulate gat -n 40 -o in.npz", "infer gat in.npz --url {url} -o out.csv"),
    "gat.parquet": ("simulate gat -n 40 -o in.npz", "infer gat in.npz --url {url} -o out.parquet"),
    "gat.npz": ("simulate gat -n 40 -o in.npz", "infer gat in.npz --url {url} -o out.npz"),
    "gat.simulate.npz": ("simulate gat -n 40 -o out.npz",),
    "products.csv": ("infer products 17 42 --url {url} -o out.csv",),
    "products.parquet": ("infer products 17 42 --url {url} -o out.parquet",),
    "products.npz": ("infer products 17 42 --url {url} -o out.npz",),
    "zero_shot.csv": ("infer zero_shot text --labels a,b --url {url} -o out.csv",),
    "text_embedding.npy": ("infer text_embedding text --url {url} -o out.npy",),
    "movies.csv": ("movies load --store s", "movies recommend --user 1 --store s -o out.csv"),
    "simple.bench.json": ("bench simple --url {url} --concurrency 1 --duration 200ms -o out",),
    "simple.tune.json": ("tune simple --seconds 0.5 -o out",),
}

# Compared in tests/e2e/test_bundle.py: importing MONAI takes longer than everything here.
BUNDLES = {"bundle.segmentation.csv", "bundle.pictures.csv"}


@pytest.mark.parametrize("name", sorted({*COMMANDS, *stored("tables")} - BUNDLES))
def test_the_columns_are_unchanged(
    name: str, golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name not in COMMANDS:
        golden.check(f"tables/{name}.txt", None)
        return
    monkeypatch.chdir(tmp_path)
    application = name.split(".")[0]
    pipeline = {"process": "image", "movies": "movies_similar"}.get(application, application)
    if application == "process":
        Path("in").mkdir()
        Path("in/broken.png").write_bytes(b"")
    with serving(export(pipeline, tmp_path / "models", portable=False)) as url:
        for command in COMMANDS[name]:
            done = CliRunner().invoke(app, command.format(url=url).split())
            assert done.exit_code == (application == "process"), done.output
    suffix = Path(name).suffix
    (path,) = [*tmp_path.glob(f"out{suffix}"), *tmp_path.glob(f"out/*{suffix}")]
    golden.check(f"tables/{name}.txt", f"{READERS[suffix](path)}\n")


def of_csv(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        header, row, *_ = csv.reader(file)
    assert len(row) == len(header)
    return "\n".join(header)


def of_parquet(path: Path) -> str:
    schema = parquet.read_schema(path)
    return "\n".join([*(f"{f.name}: {f.type}" for f in schema), *of_metadata(schema.metadata)])


def of_metadata(metadata: dict[bytes, bytes]) -> list[str]:
    found = {key.decode(): value for key, value in metadata.items() if key != b"ARROW:schema"}
    return [
        f"metadata {key}" + (f": {', '.join(json.loads(value))}" if value[:1] == b"{" else "")
        for key, value in sorted(found.items())
    ]


def of_hdf5(path: Path) -> str:
    lines: list[str] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            shape = ", ".join(["n", *map(str, item.shape[1:])])
            lines.append(f"{name}: {item.dtype} [{shape}]")
        lines.extend(f"{name} attribute {key}" for key in sorted(item.attrs))

    with h5py.File(path) as file:
        note("/", file)
        file.visititems(note)
    return "\n".join(lines)


def of_npz(path: Path) -> str:
    with np.load(path) as file:
        return "\n".join(f"{name}: {of_array(file[name])}" for name in file)


def of_npy(path: Path) -> str:
    return of_array(np.load(path))


def of_array(array: np.ndarray) -> str:
    return f"{'text' if array.dtype.kind == 'U' else array.dtype} of rank {array.ndim}"


def of_json(path: Path) -> str:
    return "\n".join(dict.fromkeys(keys(json.loads(path.read_text("utf-8")))))


# Their keys depend on the findings: kinds of errors, dimensions with a cost.
MEASURED = ("budget", "per", "knee", "errors")


def keys(value: Any, path: str = "") -> Iterator[str]:
    """Return the paths of all keys; a list's items share theirs."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}{key}"
            yield from keys(item, f"{path}{key}.") if key not in MEASURED else ()
    elif isinstance(value, list):
        for item in value:
            yield from keys(item, f"{path[:-1]}[].")


READERS: dict[str, Callable[[Path], str]] = {
    ".csv": of_csv,
    ".parquet": of_parquet,
    ".h5": of_hdf5,
    ".npz": of_npz,
    ".npy": of_npy,
    ".json": of_json,
}
