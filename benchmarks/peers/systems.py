"""The systems that are compared: Naiad and its peers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Protocol = Literal["tensors", "ragged", "packed", "element", "body"]
"""How a request is sent: as Naiad's tensors over gRPC; as these with a batch dimension; as one
element of bytes with a batch dimension; as one without; or as the body of a POST."""


@dataclass(frozen=True, slots=True)
class System:
    """A model server.

    Attributes:
        name: of its module in `benchmarks.peers.servers`, and of its requirements.
        title: words for the table.
        protocol: how it takes requests.
        package: whose version the table has.
        waits: seconds that a batch may wait for more requests; the best of them is used.
        path: of the POST.
    """

    name: str
    title: str
    protocol: Protocol
    package: str
    waits: tuple[float, ...] = (0.0,)
    path: str = "/"

    @property
    def requirements(self) -> Path | None:
        """The pinned packages of its environment; None for the one that runs this program."""
        return None if self.name == NAIAD else _REQUIREMENTS / f"{self.name}.txt"


NAIAD, TRITON = "naiad", "triton"
_REQUIREMENTS = Path(__file__).parent / "requirements"
_WAIT = 0.002

SYSTEMS = {
    system.name: system
    for system in (
        System(NAIAD, "Naiad", "tensors", "naiad"),
        System(TRITON, "Triton's Python backend by hand", "ragged", "", (0.0, _WAIT)),
        System("pytriton", "pytriton", "packed", "nvidia-pytriton", (0.0, _WAIT)),
        System("litserve", "LitServe", "body", "litserve", (0.0, _WAIT), "/predict"),
        System("ray", "Ray Serve", "body", "ray", (0.0, _WAIT)),
        System("bentoml", "BentoML", "body", "bentoml", path="/predict"),
        System("mlserver", "MLServer", "element", "mlserver", (0.0, _WAIT)),
    )
}
