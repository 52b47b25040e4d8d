"""Import of users' files, and of the modules beside them, from their source.

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
from collections.abc import Mapping
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
_FOLDERS: Final[dict[Path, Mapping[str, str]]] = {}  # of files that were loaded: originals by name


def load_module(spec: str) -> Any:
    """Import the module of a spec: ``"package.module:NAME"`` or ``"path/file.py:NAME"``.

    A file is imported again if it, or a module that it imported from beside it, has changed.

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
        if error.name and module.startswith(error.name):
            raise SchemaError(f"{spec}: no module named {error.name!r}") from None
        raise


def _load_file(path: Path) -> Any:
    path = path.resolve()
    if not path.is_file():
        raise SchemaError(f"{path}: no such file")
    # A stable name per file: inspect must find the class again, and two models may both be
    # called pipeline.py.
    identity = f"{path} {path.stat().st_mtime_ns}"  # the file may be replaced while a server runs
    name = f"naiad_user_{importable(path)}_{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
    known = sys.modules.get(name)
    if known is not None and not _loader(known).changed():
        return known
    _import_from(path.parent)
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
    loader.beside = [one for key, one in _loaders(path.parent).items() if key != name]
    return module


def _import_from(folder: Path) -> None:
    """Let a file import the modules beside it as they are now, whatever has these names."""
    names = {path.stem for path in folder.iterdir()}
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] in names:
            file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", "/")))
            place = Path(file).parent
            if not place.is_relative_to(folder) and _is_users(place):
                del sys.modules[name]
    beside = _loaders(folder)
    if any(loader.changed() for loader in beside.values()):
        for name in beside:
            del sys.modules[name]
    originals = folder / _ORIGINALS
    _FOLDERS[folder] = json.loads(originals.read_bytes()) if originals.is_file() else {}
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
    sys.path_importer_cache.pop(str(folder), None)


def _loaders(folder: Path) -> dict[str, _Source]:
    """Return the loaders of the modules beside a file that were imported, by name."""
    found = {name: _loader(module) for name, module in [*sys.modules.items()]}
    return {
        name: loader
        for name, loader in found.items()
        if isinstance(loader, _Source)
        and Path(loader.path).is_relative_to(folder)
        and not name.startswith("naiad_user_")
    }


def _loader(module: Any) -> Any:
    return getattr(module, "__dict__", {}).get("__loader__")  # not of a lazy module
