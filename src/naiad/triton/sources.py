"""The source of a pipeline, copied into its model folder with the modules beside it."""

from __future__ import annotations

import ast
import inspect
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from naiad.core.pipeline import Pipeline, default_weights
from naiad.core.session import write_session
from naiad.core.user_modules import importable, is_of_session, record_originals
from naiad.errors import SchemaError

SOURCE = "pipeline.py"


def place_source(kind: type[Pipeline], version: Path, *, portable: bool = True) -> str:
    """Make a class importable from a model's folder; return how ``config.pbtxt`` names it.

    A class of an installed package is imported from there. One in a file is copied, with the
    modules and packages that it imports from beside it and the files that it names. Unless
    ``portable``, the copies run under the names of their originals. One of a notebook is written
    with what it needs of the session (`naiad.core.session`).

    Raises:
        SchemaError: the source is neither in a file nor in the cells of a notebook, or a notebook's
            class needs what cannot be written as source; or two modules would get the same name.
    """
    module = sys.modules.get(kind.__module__)
    if "<locals>" in kind.__qualname__:
        raise SchemaError(f"{kind.__qualname__} is defined inside a function; move it to a module")
    # A class that a function made has the name of the variable that it is assigned to.
    names = [name for name, value in vars(module).items() if value is kind] if module else []
    if kind.__name__ in names or not names:
        name = kind.__qualname__
    else:  # notebooks keep results as _ and _3
        name = next((name for name in names if not name.startswith("_")), names[0])
    if is_of_session(kind) and not kind.source:
        _place_session(kind, name, version, portable=portable)
        return f"{SOURCE}:{name}"
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
    _place_copies(copies, version, portable=portable)
    _place_files(kind, source.parent, version)
    return f"{SOURCE}:{name}"


def _place_session(kind: type[Pipeline], name: str, version: Path, *, portable: bool) -> None:
    """Write the source of a class of a session, and copy the modules that it imports."""
    written = write_session(kind, name)
    (version / SOURCE).write_text(written.text, "utf-8")
    for file, content in written.files.items():
        (version / file).write_bytes(content)
    beside = {path.name: path for path in _beside(Path.cwd(), version / SOURCE)}
    _place_copies(beside, version, portable=portable)
    _place_files(kind, Path.cwd(), version)


def _place_copies(copies: Mapping[str, Path], version: Path, *, portable: bool) -> None:
    for target, path in copies.items():
        _copy(path, version / target)
    if not portable:
        record_originals(version, copies)


def _place_files(kind: type[Pipeline], folder: Path, version: Path) -> None:
    for file in kind.files:
        _copy(folder / file, version / (Path(file).name if Path(file).is_absolute() else file))


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
    return _beside(source.resolve().parent, source.resolve())


def _beside(folder: Path, source: Path) -> set[Path]:
    """Return the modules and packages in a folder that a file imports, directly or not."""
    found, left = set[Path](), [source]
    while left:
        for name in _imported(left.pop()):
            path = _module(folder, name)
            if path is not None and path not in found and path != source:
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
