"""The part of a served NuGraph network that does not depend on which it is."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

from naiad.applications.nugraph import schema
from naiad.applications.nugraph.card import NuGraphCard, read_card_of
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Parameter, Pipeline, Request
from naiad.core.schema import Array, Arrays
from naiad.errors import InvalidInput, WeightsError

_log = logging.getLogger(__name__)

Network: TypeAlias = Callable[[Mapping[str, Any], int], Mapping[str, Any]]
"""Labels a merged batch of a number of events."""


class NuGraphPipeline(Pipeline):
    """Base of the pipelines of NuGraph networks, which share the inputs and their preparation.

    ``weights`` is a folder written by :mod:`naiad.applications.nugraph.weights`. With the request
    parameter ``strict``, an event whose spacepoints name unknown hits is refused; by default those
    entries are ignored and counted in ``unknown_hits``.
    """

    inputs = schema.INPUTS
    sample = schema.SAMPLE
    outputs: ClassVar[Any] = {"unknown_hits": schema.UNKNOWN_HITS}
    # NuGraph3, forward of 1, 4 and 8 events of 189 hits together: 2.7, 2.55 and 2.55 ms each, on
    # one core; of 1 and 2 events of 1,496 hits: 24 and 25 ms each. So a batch of about five small
    # events gains all there is to gain, and a larger one would only keep events from other workers.
    # With NuGraph2, 1 and 4 events of 215 hits take 3.3 ms each, and 8 take 3.7.
    budget = Budget(hits=1_024, spacepoints=2_048)
    limit = Budget(hits=100_000, spacepoints=500_000)
    prepare_threads = 4

    arrays = "numpy"  # the compiled network needs no torch

    _network: Network | None = None
    _on: str | None = None

    kind: ClassVar[type[NuGraphCard]]
    """The card of the network."""
    classes: ClassVar[Mapping[str, int]]
    """By its name in the card's architecture, each number of classes that the outputs have."""

    @abstractmethod
    def load_compiled(self, folder: Path) -> Network:
        """Load the network, compiled for the CPU.

        Raises:
            OSError: there is no library for this processor.
        """

    @abstractmethod
    def load_torch(self, folder: Path) -> Any:
        """Load the network in torch, on the CPU."""

    def metadata(self) -> Mapping[str, str]:
        """Return classes, notice and sha256 of the weights, for clients."""
        known = self._known
        return {
            "semantic_classes": ",".join(known.semantic_classes),
            "notice": known.notice,
            "weights_sha256": known.sha256,
        }

    def setup(self, device: str) -> None:
        """Load the weights: compiled on a CPU; in torch on a GPU or without the library."""
        _ = self._known  # refuses weights that cannot answer the wire contract
        if device == "cpu":
            try:
                self._network, self._on = self.load_compiled(self._folder), None
            except OSError as error:
                _log.warning("%s runs in torch, several times slower: %s", self.kind.title, error)
            else:
                return
        # One thread: more would collide on a shared machine.
        net = self.load_torch(self._folder)
        import torch

        torch.set_num_threads(1)
        self._network, self._on = net.to(device), device

    def prepare(self, request: Request) -> Arrays:
        """Turn an event's tables into its graph.

        Raises:
            InvalidInput: ``strict`` is set and a spacepoint names an unknown hit, or a hit's
                charge is above the network's maximum.
        """
        from naiad.applications.nugraph.prepare import prepare

        return prepare(
            request,
            strict=_flag(request.parameters, "strict"),
            max_integral=self._known.max_integral,
            position_scale=self._known.position_scale,
        )

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Run the network on a merged batch."""
        return {**self._label(batch), "unknown_hits": batch["unknown_hits"]}

    def example(self) -> dict[str, Array]:
        """Return two straight tracks from a common vertex on all three planes: 144 hits."""
        return example_event()

    def _label(self, batch: Batch) -> Mapping[str, Any]:
        if self._network is None:
            raise RuntimeError("setup() has not been called")
        if self._on is None:
            return self._network(batch, batch.requests)
        import torch

        with torch.inference_mode():
            return self._network(batch.torch(self._on), batch.requests)

    @property
    def _folder(self) -> Path:
        if self.weights_path is None:
            raise WeightsError(f"{self.kind.title} has no weights; give a folder with --weights")
        return self.weights_path

    @cached_property
    def _known(self) -> NuGraphCard:
        known = read_card_of(self._folder, self.kind)
        needed = {"planes": schema.PLANES, "in_features": schema.NUM_FEATURES, **self.classes}
        for size, number in needed.items():
            if (found := getattr(known.sizes, size)) != number:
                raise WeightsError(
                    f"{self._folder}: the weights have {size} {found}; the service needs {number}"
                )
        return known


def example_event() -> dict[str, Array]:
    """Make a small valid event, the same each time.

    Wires of planes u, v and y are at 60, -60 and 0 degrees to the vertical, 0.3 cm apart.
    """
    step = np.arange(24)
    vertex = np.array([120.0, 10.0, 400.0])
    directions = np.array([[0.3, 0.2, 0.9], [0.5, -0.7, 0.4]])
    x, y, z = (vertex + np.concatenate([d * step[:, None] for d in directions])).T
    points = len(x)
    angles = np.deg2rad([60.0, -60.0, 0.0])
    wire = (z * np.cos(angles)[:, None] + y * np.sin(angles)[:, None]) / 0.3
    hit = np.arange(3 * points, dtype=np.int32)
    time = np.tile(800 + x / 0.055, 3)
    return {
        "hit_table_hit_id": hit,
        "hit_table_local_plane": np.repeat(np.arange(3, dtype=np.int32), points),
        "hit_table_local_time": time.astype(np.float32),
        "hit_table_local_wire": (wire.ravel() + 1000).astype(np.int32),
        "hit_table_integral": np.tile(np.linspace(100, 400, points), 3).astype(np.float32),
        "hit_table_rms": np.full(3 * points, 4.5, np.float32),
        "spacepoint_table_spacepoint_id": np.arange(points, dtype=np.int32),
        **{
            f"spacepoint_table_hit_id_{plane}": hit[i * points : (i + 1) * points]
            for i, plane in enumerate(schema.PLANES)
        },
    }


def _flag(parameters: Mapping[str, Parameter], name: str) -> bool:
    """Read a request parameter that is a boolean, or one in words."""
    value = parameters.get(name, False)
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "false": False, "0": False}
    try:
        return words[str(value).lower()]
    except KeyError:
        raise InvalidInput(f"parameter {name} is {value!r}; it must be true or false") from None
