"""A bundle's config as MONAI reads it: merged, with its metadata, and its objects created.

MONAI's ``ConfigParser`` merges the files, creates objects and evaluates ``$`` expressions: a bundle
is a program, so serve only bundles from trusted sources. Nothing that a client sends gets into a
config.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Any, Final

import monai
from monai.bundle.config_parser import ConfigParser
from monai.bundle.utils import merge_kv
from monai.transforms.compose import Compose

from naiad.applications.medical.bundle.files import METADATA, BundleFiles
from naiad.applications.medical.bundle.references import split_macro

_NOT_FOUND: Final = re.compile(r"Cannot locate class or function path: '([\w.]+)'")
_REQUIRED: Final = "required_packages_version"


class Config:
    """The merged config of a bundle, whose entries are created when they are asked for."""

    def __init__(self, files: BundleFiles, device: str) -> None:
        """Merge the configs of a bundle, in which ``device`` and ``bundle_root`` are replaced.

        Raises:
            RepositoryError: a config is wrong, or names a file that is missing.
        """
        self._files = files
        if str(files.root) not in sys.path:
            sys.path.insert(1, str(files.root))  # as MONAI does, for a bundle's scripts/
        merged = ConfigParser({})
        with self._errors("the config cannot be merged"):
            for config in files.configs():
                for key, value in config.items():
                    merge_kv(merged, key, value)
        self.parser = ConfigParser()
        self.parser.read_config(self._located(merged.get()))
        self.parser.read_meta(dict(files.metadata))
        self.parser["bundle_root"] = str(files.root)
        self.parser["device"] = f"$torch.device({device!r})"

    def __contains__(self, id: str) -> bool:
        """Return whether there is an entry with this id."""
        return id in self.parser

    def made(self, *ids: str, needed: bool = True) -> Any:
        """Create the object of the first of these ids that the config has; None if it has none.

        Raises:
            RepositoryError: it cannot be created, or it is missing and needed; says why.
        """
        found = next((id for id in ids if id in self.parser), None)
        if found is None:
            if needed:
                raise self._files.wrong_config(f"{ids[0]} is missing")
            return None
        with self._errors(f"{found} cannot be created"):
            return self.parser.get_parsed_content(found)

    def chain(self, *ids: str, needed: bool = True) -> Compose:
        """Create a chain of transforms, errors as of :meth:`made`."""
        made = self.made(*ids, needed=needed)
        return made if isinstance(made, Compose) else Compose(made)

    def components(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield id and entry of each enabled component of a class with this name."""
        found: list[tuple[str, Any]] = [("", self.parser.get())]
        while found:
            id, entry = found.pop()
            if isinstance(entry, dict):
                target = str(entry.get("_target_", "")).rpartition(".")[2]
                if target == name and entry.get("_disabled_") not in (True, "true"):
                    yield id, entry
            if isinstance(entry, dict | list):
                pairs = entry.items() if isinstance(entry, dict) else enumerate(entry)
                found += [(f"{id}::{key}" if id else str(key), value) for key, value in pairs]

    def _located(self, entry: Any) -> Any:
        """Return an entry with the paths in its macros absolute.

        MONAI takes them from the working directory, which is the bundle's where its commands run.
        """
        if isinstance(entry, dict):
            return {key: self._located(value) for key, value in entry.items()}
        if isinstance(entry, list):
            return [self._located(value) for value in entry]
        path, id = split_macro(entry) if isinstance(entry, str) else ("", "")
        if not path:
            return entry
        return f"%{self._files.macro_file(path)}{'::' if id else ''}{id}"

    @contextmanager
    def _errors(self, what: str) -> Generator[None]:
        try:
            with warnings.catch_warnings():
                # Changed defaults and missing readers, which concern the bundle's author.
                warnings.simplefilter("ignore")
                yield
        except Exception as error:
            advice = self._advice(error)
            raise self._files.wrong_config(f"{what}: {causes(error)}{advice}") from error

    def _advice(self, error: BaseException) -> str:
        """Return what to do about an error, if a package or a class is missing; or ""."""
        chain = list(_chain(error))
        for cause in chain:
            if found := _NOT_FOUND.search(str(cause)):
                return self._advice_on_class(found[1])
        if any(isinstance(cause, ImportError) for cause in chain):
            return self._advice_on_packages()
        return ""

    def _advice_on_class(self, name: str) -> str:
        package = name.partition(".")[0]
        if "." in name and package != "monai":
            if (self._files.root / package).is_dir():
                return f"; look into {package}/ of the bundle"
            return self._advice_on_packages() if find_spec(package) is None else ""
        made_for = self._files.metadata.get("monai_version")
        stated = f"; the bundle was made for {made_for}" if made_for else ""
        return f"; MONAI {monai.__version__} has no such class{stated}"

    def _advice_on_packages(self) -> str:
        required = self._files.metadata.get(_REQUIRED)
        named = [str(name) for name in required] if isinstance(required, dict) else []
        missing = [name for name in named if not _installed(name)]
        if missing:
            return f"; install what {METADATA} requires: {', '.join(missing)}"
        return f"; a package is missing, which {METADATA} does not name in {_REQUIRED}"


def _installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes, as MONAI wraps them deeply."""
    while error is not None:
        yield error
        error = error.__cause__


def causes(error: BaseException) -> str:
    """Join the messages of an error and of its first cause."""
    said: list[str] = []
    for cause in _chain(error):
        lines = str(cause).strip().splitlines()
        text = f"{type(cause).__name__}: {' '.join(line.strip() for line in lines[:3])}"[:300]
        if text not in said:
            said.append(text)
    return "; ".join([said[0], *said[-1:]] if len(said) > 1 else said)
