"""The release of Triton that Naiad embeds, pinned by the wheels that carry it.

``engine.json`` beside this module has the data, also for the bill of materials.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Final

from naiad.typed_json import decode


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
        package: name of the package.
        version: of the package.
        triton: Triton's own version.
        release: name of the release, its year and month.
        date: the month in words.
        glibc: the oldest version that the files run with.
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
        """Return the wheel for a machine, or None."""
        return next((wheel for wheel in self.wheels if wheel.machine == machine), None)

    @property
    def page(self) -> str:
        """The page of the wheels, for people."""
        return f"https://pypi.org/project/{self.package}/{self.version}/#files"


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, for comparison, without its other parts."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


RELEASE: Final = decode(
    resources.files("naiad").joinpath("engine.json").read_text("utf-8"), Release
)
