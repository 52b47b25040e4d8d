"""No file that a user gives to any command ends in a traceback.

Every command that reads files is given every file and folder of ``reports``: small ones that people
had trouble with, few of them right for the command. The answer is a result, or an error that names
the file. A server in this process answers with the real pipelines.
"""

from __future__ import annotations

import csv
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pyarrow import parquet
from tests.support.command import subcommands
from tests.unit.golden.served import serving

from naiad import export
from naiad.application import applications
from naiad.cli.main import app, main
from naiad.errors import NaiadError
from naiad.tasks.sources import read_units
from naiad.tasks.task import Task

pytestmark = pytest.mark.slow

SERVED = ("gat", "image", "mednist", "covid_ct", "nugraph2", "nugraph3", "products", "simple")
SERVED = (*SERVED, "text_embedding", "zero_shot")

# Parameters that read files, by the first word of their commands.
READ: dict[str, set[str]] = {
    "infer": {"paths", "file"},
    "process": {"paths"},
    "debug": {"requests"},
    "check": {"directory"},
    "config": {"model_repository"},
    "weights": {"directory", "source"},
    "train": {"data", "events"},
    "movies": {"source"},
}
# Arguments that are written.
WRITTEN = {"export directory", "deploy dashboard path", "engine python-environment directory"}

# What else a command needs, by the beginning of its name.
NEEDS: dict[str, tuple[str, ...]] = {
    "debug": ("simple",),
    "config": ("image",),
    "infer": ("--url", "{url}", "--timeout", "20"),
    "infer zero_shot": ("--url", "{url}", "--labels", "a,b"),
    "process": ("--server", "{url}", "-o", "{out}"),
    "train": ("--output", "{out}"),
    "weights import": ("--output", "{out}"),
    "weights import image": ("--output", "{out}", "--labels", "labels.txt", "--scaling", "unit"),
    "movies load": ("--store", "{out}"),
}

ODD = b"caf\xe9 [red]a[bold] $x :smile: \x1b[31m"
"""A name that is neither UTF-8, nor markup, nor a formula, nor harmless for a terminal."""


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for part, inner in subcommands(command).items():
        yield from commands(inner, f"{name} {part}".strip())
    if not hasattr(command, "list_commands"):
        yield name, command


def takes_path(parameter: Any) -> bool:
    described = getattr(parameter, "type_descriptor", None)  # of typer's own copy of click
    kind = parameter.type if described is None else described.annotation
    return "path" in str(kind).lower()


PARAMETERS = {
    f"{name} {parameter.name}": (name, parameter)
    for name, command in commands(typer.main.get_command(app))
    for parameter in command.params
    if takes_path(parameter)
}
READERS = [
    (name, parameter.opts[0] if parameter.param_type_name == "option" else "")
    for name, parameter in PARAMETERS.values()
    if parameter.name in READ.get(name.split()[0], ())
]


def test_no_command_that_takes_files_is_left_out() -> None:
    arguments = {
        key for key, (_, one) in PARAMETERS.items() if one.param_type_name == "argument"
    } - WRITTEN
    assert arguments <= {
        f"{name} {one.name}"
        for name, one in PARAMETERS.values()
        if one.name in READ.get(name.split()[0], ())
    }
    assert {name for name, _ in PARAMETERS.values() if name.startswith(("infer ", "process "))} == {
        name for name, _ in READERS if name.startswith(("infer ", "process "))
    }


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    with serving(*(export(name, folder, portable=False) for name in SERVED)) as url:
        yield url


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(arguments: list[str], capture: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    """Run ``naiad``; return its status, or the error that would be a traceback, and its output."""
    sys.argv = ["naiad", *arguments]
    status: Any = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    except BaseException as error:
        status = "".join(traceback.format_exception(error)[-3:])
    shown = capture.readouterr()
    return status, shown.out + shown.err


@pytest.mark.parametrize(("name", "option"), READERS)
def test_no_file_ends_in_a_traceback(
    name: str,
    option: str,
    url: str,
    shared_data: Path,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not (shared_data / "reports").is_dir():
        pytest.skip(f"there is no {shared_data / 'reports'}")
    files = shutil.copytree(shared_data / "reports", place / "reports")
    (place / "labels.txt").write_text("a\nb\n")
    needs = next((NEEDS[n] for n in sorted(NEEDS, key=len)[::-1] if name.startswith(n)), ())
    wrong: list[str] = []
    verb, _, model = name.partition(" ")
    asked_about = verb not in ("infer", "process") or model in SERVED
    for number, file in enumerate(sorted(files.rglob("*"))):
        out = place / f"out{number}"
        rest = [part.format(url=url, out=out) for part in needs]
        given = [option, str(file)] if option else [str(file)]
        status, shown = run([*name.split(), *rest, *given], capsys)
        failures = out / "failures.csv"
        named = file.name in shown or (failures.exists() and file.name in failures.read_text())
        what = f"{' '.join([name, *given[:-1]])} {file.relative_to(files)}"
        if status not in (0, 1, 2) or "Traceback" in shown:
            wrong.append(f"{what}: {status}\n{shown[-1000:]}")
        elif status and not named and asked_about and option != "--file":  # whose lines are named
            wrong.append(f"{what}: {status}, and the file is not named: {shown[-500:]}")
    assert not wrong, f"{len(wrong)} wrong\n" + "\n".join(wrong)


TASKS = [kind for kind in applications() if issubclass(kind, Task)]


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.name)
def test_reading_a_file_raises_nothing_but_our_own_errors(
    kind: type[Task[Any, Any]], shared_data: Path
) -> None:
    """A model that no server here has, such as a bundle, is not needed for that."""
    found = [error_of(kind(), file) for file in sorted((shared_data / "reports").rglob("*"))]
    assert not any(found), "\n".join(found)


def error_of(task: Task[Any, Any], file: Path) -> str:
    try:
        list(read_units(task, file))
    except NaiadError:
        return ""
    except Exception:
        return f"{file}: {traceback.format_exc()[-800:]}"
    return ""


@pytest.mark.parametrize(
    ("name", "simulated", "suffix"),
    [("image", "in", ".JPG"), ("gat", "in.npz", ".NPZ"), ("nugraph3", "in.h5", ".H5")],
)
def test_a_file_may_have_any_name(
    name: str, simulated: str, suffix: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = "40" if name == "gat" else "1"
    assert run(["simulate", name, "-n", number, "-o", simulated], capsys)[0] == 0
    made = next(Path(simulated).iterdir()) if Path(simulated).is_dir() else Path(simulated)
    folder = Path(os.fsdecode(ODD))
    folder.mkdir()
    file = folder / os.fsdecode(ODD + suffix.encode())
    shutil.copyfile(made, file)
    broken = folder / os.fsdecode(b"broken \xe9" + suffix.encode())
    broken.write_bytes(b"broken")
    for output in ("a.CSV", "a.PARQUET", str(folder / "results")):
        asked = ["infer", name, str(folder), "--url", url, "-o", output, "--plot", "drawn"]
        status, shown = run([*asked, "--force"], capsys)
        assert status == 1, shown
        assert r"broken \udce9" in shown
        assert "1 of 2" in shown or "failed" in shown
    status, shown = run(["infer", name, str(file), "--url", url, "--plot", "a.PNG"], capsys)
    assert status == 0, shown
    assert Path("a.PNG").read_bytes().startswith(b"\x89PNG")
    with Path("a.CSV").open(encoding="utf-8", newline="") as opened:
        assert len(list(csv.reader(opened))) > 1
    assert parquet.read_table("a.PARQUET").num_rows > 0
    for _ in range(2):  # the second resumes
        status, shown = run(["process", name, str(folder), "--server", url, "-o", "out"], capsys)
        assert status == 1, shown
        assert "failures.csv" in shown, shown
        assert r"broken \udce9" in Path("out/failures.csv").read_text("utf-8")
