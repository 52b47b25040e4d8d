"""The source of a pipeline, copied into its model folder with the modules beside it."""

from __future__ import annotations

import ast
import inspect
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from naiad.core.pipeline import Pipeline, default_weights
from naiad.core.session import write_session
from naiad.core.user_modules import (
    folders_of,
    importable,
    is_of_session,
    is_users,
    package_of,
    record_originals,
)
from naiad.errors import SchemaError

SOURCE = "pipeline.py"
_INIT: Final = "__init__.py"
_IMPORT: Final = """\
from importlib import import_module

{0} = import_module({1!r}).{0}
"""
_ALIAS: Final = """\
import sys
from importlib import import_module

sys.modules[__name__] = import_module({!r})
"""


def place_source(kind: type[Pipeline], version: Path, *, portable: bool = True) -> str:
    """Make a class importable from a model's folder; return how ``config.pbtxt`` names it.

    A class of an installed package is imported from there. One in a file is copied, with the
    user's modules and packages that it imports (see `modules_beside`) and the files that it names.
    Unless ``portable``, the copies run under the names of their originals. One of a notebook is
    written with what it needs of the session (`naiad.core.session`).

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
    folder, packages = package_of(source)
    packaged = copies.get(packages[0]) == folder / packages[0] if packages else False
    if packaged and "." in source.stem:
        raise SchemaError(
            f"{source}: rename it; a file of the package {packages[0]} that imports from it cannot "
            "have a dot in its name"
        )
    module_name = ".".join((*packages, *(() if source.name == _INIT else (source.stem,))))
    texts: dict[str, str] = {}
    if kind.source:
        texts[SOURCE] = kind.source
        if packaged:
            texts[f"{importable(source)}.py"] = _ALIAS.format(module_name)
        elif "." not in kind.__module__ or is_users(kind.__module__):
            copies[f"{importable(source)}.py"] = source
    elif packaged:
        texts[SOURCE] = _IMPORT.format(name, module_name)
    else:
        copies[SOURCE] = source
    _place_copies(copies, version, portable=portable)
    for target, text in texts.items():
        (version / target).write_text(text, "utf-8")
    place = version / source.parent.relative_to(folder) if packaged else version
    _place_files(kind, source.parent, version, place)
    return f"{SOURCE}:{name}"


def _place_session(kind: type[Pipeline], name: str, version: Path, *, portable: bool) -> None:
    """Write the source of a class of a session, and copy the modules that it imports."""
    written = write_session(kind, name)
    (version / SOURCE).write_text(written.text, "utf-8")
    for file, content in written.files.items():
        (version / file).write_bytes(content)
    beside = _imported_modules(version / SOURCE, (Path.cwd(),))
    _place_copies({path.name: path for path in beside}, version, portable=portable)
    _place_files(kind, Path.cwd(), version, version)


def _place_copies(copies: Mapping[str, Path], version: Path, *, portable: bool) -> None:
    for target, path in copies.items():
        _copy(path, version / target)
    if not portable:
        record_originals(version, copies)


def _place_files(kind: type[Pipeline], folder: Path, version: Path, place: Path) -> None:
    for file in kind.files:
        absolute = Path(file).is_absolute()
        _copy(folder / file, version / Path(file).name if absolute else place / file)


def source_of(kind: type[Pipeline]) -> Path | None:
    """Return the file of a class; None if it is of an installed package.

    Raises:
        SchemaError: the source is in no file.
    """
    package = getattr(sys.modules.get(kind.__module__), "__package__", None)
    installed = "." in kind.__module__ and package and not is_users(kind.__module__)
    if installed and not kind.source:
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
    """Return a file and the modules of the user's that it imports, also those that do not exist."""
    names = {folder / f"{name}.py" for folder in folders_of(source) for name in imported_by(source)}
    return {source, *modules_beside(source), *names}


def imported_by(source: Path) -> set[str]:
    """Return the modules that a file and the user's modules import, by the names' first part."""
    files = {source, *modules_beside(source)}
    files |= {file for path in files if path.is_dir() for file in path.rglob("*.py")}
    return {name for file in files for name in _imported(file)}


def modules_beside(source: Path) -> set[Path]:
    """Return the modules and packages of the user's that a file imports, directly or indirectly.

    They are in the file's folder, in that of its outermost package, which is one of them if the
    file imports from it, or in the working directory.
    """
    source = source.resolve()
    return _imported_modules(source, folders_of(source))


def _imported_modules(source: Path, folders: Sequence[Path]) -> set[Path]:
    found, left = set[Path](), [source]
    while left:
        file = left.pop()
        names = {*_imported(file)}
        if file == source and _imports_relatively(file):
            names |= {*package_of(file)[1][:1]}
        for name in names:
            path = _module(folders, name)
            if path is not None and path not in found and path != source:
                found.add(path)
                left += path.rglob("*.py") if path.is_dir() else [path]
    return found


def _imported(path: Path) -> Iterator[str]:
    """Yield the first part of each absolute import of a file, wherever in it."""
    for node in _imports(path):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif node.module and not node.level:
            yield node.module.partition(".")[0]


def _imports_relatively(path: Path) -> bool:
    return any(isinstance(node, ast.ImportFrom) and node.level for node in _imports(path))


def _imports(path: Path) -> Iterator[ast.Import | ast.ImportFrom]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # loading it says more
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def _module(folders: Sequence[Path], name: str) -> Path | None:
    """Return the file or folder of a user's module, or None."""
    for number, folder in enumerate(folders):
        if number and _is_installed(name, folders):
            return None
        if (folder / f"{name}.py").is_file():
            return folder / f"{name}.py"
        package = folder / name
        if package.is_dir() and any(package.rglob("*.py")):
            return package
    return None


def _is_installed(name: str, folders: Sequence[Path]) -> bool:
    """Return True if a module is found without these folders."""
    if name in sys.stdlib_module_names:
        return True
    places = [path for path in sys.path if Path(path).resolve() not in folders]
    found = PathFinder.find_spec(name, places)
    return found is not None and found.origin is not None


def _copy(path: Path, target: Path) -> None:
    if target.exists():  # in a package that was copied
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copyfile(path, target)
