"""The release of Triton that Naiad embeds, pinned by the wheels that carry it.

``engine.json`` beside this module has the data; the bill of materials is made from it, too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Final


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel with Triton's files: ``size`` in bytes, ``sha256`` in hexadecimal.

    ``machine`` is as `platform.machine` names it.
    """

    machine: str
    filename: str
    sha256: str
    size: int

    @property
    def platform(self) -> str:
        """Its platform tag, such as ``manylinux_2_35_x86_64``."""
        return self.filename.removesuffix(".whl").rpartition("-")[2]


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Triton inside a package on PyPI.

    Attributes:
        package: the package.
        version: of the package.
        triton: Triton's own version.
        release: the name of the release, its year and month.
        date: the month in words.
        glibc: the oldest that the files run with.
        wheels: one per machine.
    """

    package: str
    version: str
    triton: str
    release: str
    date: str
    glibc: str
    wheels: tuple[Wheel, ...]

    def wheel(self, machine: str) -> Wheel | None:
        """The wheel for a machine, if there is one."""
        return next((wheel for wheel in self.wheels if wheel.machine == machine), None)

    @property
    def page(self) -> str:
        """The page of the wheels, for people."""
        return f"https://pypi.org/project/{self.package}/{self.version}/#files"


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, for comparison, without the parts that are no numbers."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _read() -> Release:
    data = json.loads(resources.files("naiad").joinpath("engine.json").read_text("utf-8"))
    wheels = tuple(Wheel(**entry) for entry in data.pop("wheels"))
    return Release(**data, wheels=wheels)


RELEASE: Final = _read()
