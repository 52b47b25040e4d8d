"""The source of a pipeline, copied into its model folder with the modules beside it."""

from __future__ import annotations

import ast
import inspect
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from naiad.core.pipeline import Pipeline, default_weights
from naiad.core.user_modules import importable, record_originals
from naiad.errors import SchemaError

SOURCE = "pipeline.py"


def place_source(kind: type[Pipeline], version: Path, *, portable: bool = True) -> str:
    """Make a class importable from a model's folder; return how ``config.pbtxt`` names it.

    A class of an installed package is imported from there. One in a file is copied, with the
    modules and packages that it imports from beside it and the files that it names. Unless
    ``portable``, the copies run under the names of their originals.

    Raises:
        SchemaError: the source is in no file, or two modules would get the same name.
    """
    module = sys.modules.get(kind.__module__)
    if "<locals>" in kind.__qualname__:
        raise SchemaError(f"{kind.__qualname__} is defined inside a function; move it to a module")
    # A class that a function made has the name of the variable that it is assigned to.
    named = (name for name, value in vars(module).items() if value is kind) if module else iter(())
    name = next(named, kind.__qualname__)
    source = source_of(kind)
    if source is None:
        return f"{kind.__module__}:{name}"
    copies = {path.name: path for path in modules_beside(source)}
    if SOURCE in copies:
        raise SchemaError(
            f"{copies[SOURCE]}: a module that {source.name} imports cannot be {SOURCE}"
        )
    if not kind.source:
        copies[SOURCE] = source
    else:
        (version / SOURCE).write_text(kind.source, "utf-8")
        if "." not in kind.__module__:
            copies[f"{importable(source)}.py"] = source
    for target, path in copies.items():
        _copy(path, version / target)
    if not portable:
        record_originals(version, copies)
    for file in kind.files:
        _copy(
            source.parent / file, version / (Path(file).name if Path(file).is_absolute() else file)
        )
    return f"{SOURCE}:{name}"


def source_of(kind: type[Pipeline]) -> Path | None:
    """Return the file of a class; None if it is of an installed package.

    Raises:
        SchemaError: the source is in no file.
    """
    package = getattr(sys.modules.get(kind.__module__), "__package__", None)
    if "." in kind.__module__ and package and not kind.source:
        return None
    try:
        return Path(inspect.getfile(kind))
    except (OSError, TypeError):
        raise SchemaError(
            f"the source of {kind.__qualname__} is not in a file; write it to one, such as "
            f"{kind.name}.py, and serve {kind.name}.py:{kind.__qualname__}"
        ) from None


def watched(kind: type[Pipeline], source: Path) -> set[Path]:
    """Return the files on which a class in a file depends."""
    weights = default_weights(kind)
    named = {source.parent / file for file in kind.files}
    return needed_by(source) | named | ({weights} if weights is not None else set())


def needed_by(source: Path) -> set[Path]:
    """Return a file and the modules beside it that it imports, also those that do not exist."""
    names = {source.parent / f"{name}.py" for name in imported_by(source)}
    return {source, *modules_beside(source), *names}


def imported_by(source: Path) -> set[str]:
    """Return the modules that a file and the modules beside it import, by the names' first part."""
    files = {source, *modules_beside(source)}
    files |= {file for path in files if path.is_dir() for file in path.rglob("*.py")}
    return {name for file in files for name in _imported(file)}


def modules_beside(source: Path) -> set[Path]:
    """Return the modules and packages beside a file that it imports, directly or through others."""
    folder, found, left = source.resolve().parent, set[Path](), [source.resolve()]
    while left:
        for name in _imported(left.pop()):
            path = _module(folder, name)
            if path is not None and path not in found and path != source.resolve():
                found.add(path)
                left += path.rglob("*.py") if path.is_dir() else [path]
    return found


def _imported(path: Path) -> Iterator[str]:
    """Yield the first part of each absolute import of a file, wherever in it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # loading it says more
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _module(folder: Path, name: str) -> Path | None:
    if (folder / f"{name}.py").is_file():
        return folder / f"{name}.py"
    package = folder / name
    return package if package.is_dir() and any(package.glob("*.py")) else None


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copyfile(path, target)
