"""Rules of the whole project: versions agree, and imports go one way only."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.markdown import ROOT

import naiad
from naiad.application import applications

PACKAGE = ROOT / "src" / "naiad"

# The layers, from the bottom up: a part imports only those below it, and itself.
LAYERS: tuple[set[str], ...] = (
    {"errors", "notebook_html", "printable", "typed_json"},
    {"application", "backoff", "console", "engine_release", "files", "image_formats", "otlp"},
    {"image_parts"},
    {"artifacts", "control_key", "error_text", "hdf5", "images", "native"}
    | {"hdf5_references"}
    | {"contact_sheet", "figures", "plots", "weights"},
    {"card", "core", "server_card", "tracebacks"},
    {"dicom", "networks"},
    {"client", "gate", "geometric", "hub_card", "runtime", "torch_model", "tuning"},
    {"openapi"},
    {"audit", "triton"},
    {"bench", "bulk", "codegen", "deploy"},
    {"tasks", "testing", "tune"},
    {"ui", "watch"},
    {"applications.<app>"},
    {"cli", ""},
)
# Lower parts that not everyone may import.
NOT_FOR = {
    "client": {"runtime", "card", "weights", "torch_model", "native", "networks"}
    | {"figures", "plots"},
    "gate": {"core"},  # but for the settings
    "runtime": {"client"},
    "deploy": {"triton", "client", "runtime"},
    "applications.<app>": {"bench", "tune", "deploy", "gate", "audit", "ui"},
}
# Modules that are an application's part of the command line.
COMMANDS = {"cli", "commands", "demo", "infer_file", "report"}

# Packages that the client and the command line do not import; torch alone takes a second.
HEAVY = (
    "torch",
    "scipy",
    "pandas",
    "h5py",
    "pyarrow",
    "matplotlib",
    "safetensors",
    "onnxruntime",
    "openvino",
    "PIL",
    "nibabel",
    "monai",
    "pydicom",
    "highdicom",
    "dicomweb_client",
    "fastapi",
    "gradio",
    "mcp",
)


def module_name(path: Path) -> str:
    """Return ``client.model`` for ``src/naiad/client/model.py``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, anywhere: bool = True) -> Iterator[str]:
    """Return the full names that a file imports: anywhere, or only outside functions."""
    package = path.relative_to(PACKAGE.parent).parent.parts
    nodes = deque([ast.parse(path.read_text("utf-8"))])
    while nodes:
        node = nodes.popleft()
        if anywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            target = ".".join([*base, *filter(None, [node.module])])
            names = [f"{target}.{alias.name}" for alias in node.names]
            yield from names
            if not all(name.removeprefix("naiad.") in MODULES for name in names):
                yield target


def part(module: str) -> str:
    """Return a module's part of Naiad: ``core``, ``client``, ``applications.<app>``."""
    first, _, rest = module.partition(".")
    if first == "applications":
        return "applications.<app>" if rest else "application"
    return first


def place(module: str) -> int:
    """Return the number of a module's layer."""
    (number,) = (number for number, parts in enumerate(LAYERS) if part(module) in parts)
    return number


MODULES = {
    module_name(path): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "templates" not in path.parts
}


@pytest.mark.parametrize(
    "module", [name for name in MODULES if part(name) not in {"", "__main__", "cli"}]
)
def test_imports_go_down_only(module: str) -> None:
    imported = {name.removeprefix("naiad.") for name in imports(MODULES[module])} & MODULES.keys()
    command = part(module) == "applications.<app>" and module.rpartition(".")[2] in COMMANDS
    wrong = {
        name
        for name in imported - {""}
        if part(name) != part(module)
        and (place(name) >= place(module) or part(name) in NOT_FOR.get(part(module), ()))
        and not (part(module) == "gate" and name == "core.settings")
        and not (command and part(name) == "cli")
    }
    assert not wrong, f"naiad.{module} must not import them"


# Words of English among the names of applications and their folders.
WORDS = {"image", "medical", "simple", "store", "text"}


def code_of(path: Path) -> Iterator[str]:
    """Yield the names and texts in a file's code; docstrings are not code."""
    nodes = [*ast.walk(ast.parse(path.read_text("utf-8")))]
    documentation = {node.value for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)) if node not in documentation:
                yield text
            case ast.Name(id=str(name)) | ast.Attribute(attr=str(name)):
                yield name
            case ast.arg(arg=str(name)) | ast.keyword(arg=str(name)) | ast.alias(name=str(name)):
                yield name
            case ast.ImportFrom(module=str(name)):
                yield name


def test_nothing_in_the_framework_names_an_application() -> None:
    apps = PACKAGE / "applications"
    names = {path.name for path in apps.iterdir() if path.is_dir()} - {"__pycache__"}
    names |= {name for app in applications() for name in (app.name, app.model)}
    named = re.compile(
        rf"(?<![\w/])(?<!\w[.-])({'|'.join(sorted(names - WORDS))})(?!\w)|naiad\.applications\.",
        re.IGNORECASE,
    )
    framework = {name: path for name, path in MODULES.items() if not path.is_relative_to(apps)}
    found = {
        name: [text for text in code_of(path) if named.search(text)]
        for name, path in framework.items()
    }
    values = PACKAGE / "deploy" / "chart" / "values.yaml"
    found |= {"values": [text for text in values.read_text("utf-8").split() if named.search(text)]}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_no_module_imports_itself_in_a_circle() -> None:
    arrows = {
        name: {found.removeprefix("naiad.") for found in imports(path, anywhere=False)}
        & MODULES.keys() - {name}
        for name, path in MODULES.items()
    }
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]))


def test_nothing_needs_triton_s_python_backend() -> None:
    users = {
        name
        for name, path in MODULES.items()
        if {"triton_python_backend_utils", "pytriton"} & set(imports(path))
    }
    assert not users


def test_the_list_of_imports_sees_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "naiad")
    path = tmp_path / "naiad" / "client" / "x.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import torch.nn\nfrom naiad import triton\nfrom . import model\nfrom ..cli import new\n"
        "def f():\n    from naiad.runtime.runner import Runner\n"
    )
    assert {
        *("torch.nn", "naiad.triton", "naiad.client.model", "naiad.cli.new", "naiad.runtime.runner")
    } <= set(imports(path))


@pytest.mark.parametrize(
    "statement",
    [
        "import naiad; naiad.Client, naiad.AsyncClient, naiad.InvalidInput",
        "import naiad; naiad.Pipeline, naiad.Tensor, naiad.Budget",
        "import naiad; naiad.serve, naiad.export, naiad.Server",
        "import naiad.cli.main",
    ],
)
def test_neither_the_client_nor_the_command_line_imports_torch(statement: str) -> None:
    code = f"{statement}\nimport sys; print(*sorted(set({HEAVY!r}) & sys.modules.keys()))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []


def test_the_client_loads_nothing_of_the_server() -> None:
    code = "import naiad, sys; naiad.Client; print(*(m for m in sys.modules if 'naiad.' in m))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "naiad.client" in loaded
    assert not [name for name in loaded if name.startswith(("naiad.triton", "naiad.runtime"))]


def test_all_is_exactly_what_can_be_imported() -> None:
    assert sorted(naiad.__all__) == naiad.__all__
    assert dir(naiad) == naiad.__all__
    for name in naiad.__all__:
        assert getattr(naiad, name) is not None
    there = {
        name
        for name, value in vars(naiad).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert there - {"annotations", "import_module", "TYPE_CHECKING", "Any"} == {*naiad.__all__} - {
        "__version__"
    }


def test_a_name_that_is_not_public_does_not_exist() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Serve'"):
        naiad.Serve  # noqa: B018


def test_the_changelog_the_package_and_its_metadata_have_one_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    assert released[0] == naiad.__version__ == version("naiad")


def test_torch_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert any(re.fullmatch(r"torch==\d+\.\d+\.\d+", line) for line in lines)
