"""Import of users' files, and of the modules beside them, from their source.

A file may import the modules in its folder, those in the folder of its outermost package, and,
after installed ones, those in the working directory. In a model folder only the copies there are
found.

Python's bytecode caches are not used: they overlook an edit that keeps a file's size, within the
second in which the cache was written. In a model folder files are copies, which run under the names
of their originals, so that tracebacks, warnings and breakpoints have the names that the user knows.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import linecache
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType
from typing import Any, Final

from naiad.errors import SchemaError

_ORIGINALS: Final = "originals.json"
_CONFIG: Final = "config.pbtxt"  # beside a version of a model
_FOLDERS: Final[dict[Path, Mapping[str, str]]] = {}  # to import from: originals by name
_PREFIX: Final = "naiad_user_"  # of the names of modules that are loaded by their paths


def load_module(spec: str) -> Any:
    """Import the module of a spec: ``"package.module:NAME"`` or ``"path/file.py:NAME"``.

    A module that is not installed is looked for in the working directory. A file is imported again
    if it, or a module that it imported from beside it, has changed.

    Raises:
        SchemaError: not found.
    """
    where = spec.partition(":")[0]
    return _load_file(Path(where)) if where.endswith(".py") else _import(where, spec)


def importable(path: Path) -> str:
    """Return the name of a file as that of a module, such as ``my_net`` for ``my-net.py``."""
    return re.sub(r"\W", "_", path.stem)


def is_of_session(kind: type) -> bool:
    """Return whether a class was defined in a notebook or an interactive session."""
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None) or "<none>"  # "<stdin>" of `python -`
    return kind.__module__ == "__main__" and file.startswith("<")


def is_users(module: str) -> bool:
    """Return True if a module that was imported is a user's file, not of an installed package."""
    return isinstance(_loader(sys.modules.get(module)), _Source)


def package_of(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of a file's outermost package and the names of its packages.

    A file in no package is in a folder without ``__init__.py``: that folder is returned.
    """
    folder, names = path.parent, tuple[str, ...]()
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        folder, names = folder.parent, (folder.name, *names)
    return folder, names


def folders_of(path: Path) -> tuple[Path, ...]:
    """Return the folders from which a file imports, in order; the working directory is the last."""
    folders = {path.parent: None, package_of(path)[0]: None}
    if not (path.parents[1] / _CONFIG).is_file():  # a model folder must be complete
        here = Path.cwd()
        own = Path(__file__).parents[2]  # in an editable installation
        folders |= {} if own in (here, here / "src") else {here: None}
    return tuple(folders)


def record_originals(folder: Path, originals: Mapping[str, Path]) -> None:
    """Record the originals of the copied files and packages in a folder, by name."""
    paths = {name: str(path) for name, path in originals.items()}
    (folder / _ORIGINALS).write_text(json.dumps(paths), "utf-8")


class _Source(SourceFileLoader):
    """Loader that compiles a file anew, under the name of its original."""

    def __init__(self, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self.beside: list[_Source] = []
        self._read = _modified(path)

    def get_code(self, fullname: str) -> CodeType:
        self._read = _modified(self.path)
        data, name = self.get_data(self.path), str(_original(Path(self.path)))
        lines = importlib.util.decode_source(data).splitlines(keepends=True)
        linecache.cache[name] = (len(data), None, lines, name)  # the text that runs, if edited
        return self.source_to_code(data, name)

    def changed(self) -> bool:
        """Return True if the file has changed, or one that it imported from beside it."""
        return _modified(self.path) != self._read or any(one.changed() for one in self.beside)


def _modified(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def _original(path: Path) -> Path:
    """Return the file that ``path`` is a copy of, or ``path``."""
    for folder in path.parents:
        if folder in _FOLDERS:
            first, *rest = path.relative_to(folder).parts
            known = _FOLDERS[folder].get(first)
            return Path(known, *rest) if known else path
    return path


def _find_source(folder: str) -> FileFinder:
    """Return the finder for the folder of a user's file, or for a package in one.

    Raises:
        ImportError: another folder.
    """
    if not _is_users(Path(folder)):
        raise ImportError
    return FileFinder(folder, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_Source, SOURCE_SUFFIXES))


def _is_users(folder: Path) -> bool:
    if folder in _FOLDERS:
        return True
    # Not an environment, nor a folder such as src/, from which others import.
    inside = folder.name.isidentifier() and str(folder) not in sys.path
    return inside and _is_users(folder.parent)


sys.path_hooks.insert(0, _find_source)


def _import(module: str, spec: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not error.name or not f"{module}.".startswith(f"{error.name}."):
            raise
        path = Path.cwd().joinpath(*module.split("."))
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return _load_file(file)
        raise SchemaError(
            f"{spec}: no module named {error.name!r} is installed or in {Path.cwd()}"
        ) from None


def _load_file(path: Path) -> Any:
    path = path.resolve()
    if not path.is_file():
        raise SchemaError(f"{path}: no such file")
    # A stable name per file: inspect must find the class again, and two models may both be
    # called pipeline.py.
    identity = f"{path} {path.stat().st_mtime_ns}"  # the file may be replaced while a server runs
    name = f"{_PREFIX}{importable(path)}_{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
    name = ".".join([*package_of(path)[1], name])  # for relative imports
    known = sys.modules.get(name)
    if known is not None and not _loader(known).changed():
        return known
    folders = folders_of(path)
    _import_from(folders)
    loader = _Source(name, str(path))
    found = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert found is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    loader.beside = [one for key, one in _loaders(folders).items() if key != name]
    return module


def _import_from(folders: Sequence[Path]) -> None:
    """Let a file import the modules in these folders as they are now, whatever has these names."""
    names = {folder: {path.stem for path in folder.iterdir()} for folder in folders}
    for name, module in [*sys.modules.items()]:
        top = name.partition(".")[0]
        home = next((folder for folder in folders if top in names[folder]), None)
        if home is not None and _PREFIX not in name:
            file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", "/")))
            place = Path(file).parent
            if not place.is_relative_to(home) and _is_users(place):
                del sys.modules[name]
    beside = _loaders(folders)
    if any(loader.changed() for loader in beside.values()):
        for name in beside:
            del sys.modules[name]
    for folder in folders:
        originals = folder / _ORIGINALS
        _FOLDERS[folder] = json.loads(originals.read_bytes()) if originals.is_file() else {}
        sys.path_importer_cache.pop(str(folder), None)
    first, *others = folders
    sys.path[:] = [str(first), *(path for path in sys.path if path != str(first))]
    sys.path += [str(folder) for folder in others if str(folder) not in sys.path]


def _loaders(folders: Sequence[Path]) -> dict[str, _Source]:
    """Return the loaders of the modules in these folders that were imported, by name."""
    found = {name: _loader(module) for name, module in [*sys.modules.items()]}
    return {
        name: loader
        for name, loader in found.items()
        if isinstance(loader, _Source)
        and any(Path(loader.path).is_relative_to(folder) for folder in folders)
        and _PREFIX not in name
    }


def _loader(module: Any) -> Any:
    return getattr(module, "__dict__", {}).get("__loader__")  # not of a lazy module
