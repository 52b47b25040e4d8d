"""Views of results: optional bases of a `Task` that say how people look at an answer.

A page shows the table of any task. With `Scores` it has bars, with `Plots` a figure to zoom into,
with `Volumes` slices of a scan, and with `Suggests` a list of units as one types::

    class Molecules(Task[Molecule, Kind], Scores[Kind]):
        def scores(self, result):
            return {"acid": result.acid, "base": 1 - result.acid}
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from numpy.typing import NDArray

from naiad.tasks.task import Found

if TYPE_CHECKING:
    from naiad.client import Client

Result = TypeVar("Result")
Result_contra = TypeVar("Result_contra", contravariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A scan to look at slice by slice.

    Attributes:
        voxels: ``[width, height, slices]``, of any numeric dtype; the first row is on top.
        window: values that are black and white; None: the lowest and the highest.
        labels: integers ``[width, height, slices]`` that are laid over, 0 for none; or None.
        names: of the labels.
        aspect: height of a voxel divided by its width.
    """

    voxels: NDArray[Any]
    window: tuple[float, float] | None = None
    labels: NDArray[Any] | None = None
    names: Mapping[int, str] = field(default_factory=dict[int, str])
    aspect: float = 1.0


class Scores(ABC, Generic[Result_contra]):
    """An application whose results score classes or labels."""

    @abstractmethod
    def scores(self, result: Result_contra) -> Mapping[str, float]:
        """Return the score of each class, 0 to 1."""


class Plots(ABC):
    """An application whose results are figures to zoom into."""

    @abstractmethod
    def plot(self, found: Found) -> Any:
        """Return a ``plotly.graph_objects.Figure`` of an answer, without a background of its own.

        Raises:
            MissingExtra: plotly is not installed.
            NaiadError: there is too much to draw; says how much.
        """


class Volumes(ABC):
    """An application whose units are scans."""

    @abstractmethod
    def volume(self, found: Found) -> Volume | None:
        """Return the scan of an answer; None if its unit is no scan, such as a photograph.

        Raises:
            MissingExtra: a package that reads scans is missing.
            InvalidInput: the scan cannot be read.
        """


class Suggests(ABC):
    """An application whose typed units can be chosen from those that a server knows."""

    @abstractmethod
    def suggest(self, client: Client, model: str, text: str) -> Sequence[str]:
        """Return a few units that continue or resemble ``text``, the best first.

        Raises:
            NaiadError: the server cannot say.
        """
