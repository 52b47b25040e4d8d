"""The served NuGraph3: tables of hits and spacepoints in, labels and vertex out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.nugraph import schema
from naiad.applications.nugraph.card import Architecture, NuGraph3Card
from naiad.card import read_card
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Parameter, Pipeline, Request
from naiad.core.schema import Array, Arrays
from naiad.errors import InvalidInput, WeightsError

_log = logging.getLogger(__name__)


class NuGraph3(Pipeline):
    """Semantic class and signal probability of each hit, event class and vertex of each event.

    ``weights`` is a folder written by :mod:`naiad.applications.nugraph.weights`. With the request
    parameter ``strict``, an event whose spacepoints name unknown hits is refused; by default those
    entries are ignored and counted in ``unknown_hits``.
    """

    name = "nugraph3"
    inputs = schema.INPUTS
    sample = schema.SAMPLE
    outputs = schema.OUTPUTS
    # Forward of 1, 4 and 8 events of 189 hits together: 2.7, 2.55 and 2.55 ms each, on one core; of
    # 1 and 2 events of 1,496 hits: 24 and 25 ms each. So a batch of about five small events gains
    # all there is to gain, and a larger one would only keep events from other workers.
    budget = Budget(hits=1_024, spacepoints=2_048)
    limit = Budget(hits=100_000, spacepoints=500_000)
    prepare_threads = 4
    weights = "data/weights"
    made_by = "naiad.applications.nugraph.by_weights:nugraph3"

    arrays = "numpy"  # the compiled network needs no torch

    _model: Callable[[Batch], Mapping[str, Any]] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let a subclass be found by its own name, unless it says how it is made."""
        super().__init_subclass__(**kwargs)
        if "made_by" not in cls.__dict__:
            cls.made_by = ""

    def metadata(self) -> Mapping[str, str]:
        """Return classes, notice and sha256 of the weights, for clients."""
        known = self._known
        return {
            "semantic_classes": ",".join(known.semantic_classes),
            "event_classes": ",".join(known.event_classes),
            "notice": known.notice,
            "weights_sha256": known.sha256,
        }

    def setup(self, device: str) -> None:
        """Load the weights: compiled on a CPU; in torch on a GPU or without the library."""
        _ = self._known  # refuses weights that cannot answer the wire contract
        if device == "cpu":
            # Imported here, as the command line needs neither safetensors nor the library.
            from naiad.applications.nugraph.compiled import CompiledNuGraph3

            try:
                compiled = CompiledNuGraph3.load(self._folder)
            except OSError as error:
                _log.warning("NuGraph3 runs in torch, several times slower: %s", error)
            else:
                self._model = lambda batch: compiled(batch, batch.requests)
                return
        self._model = _on_torch(self._folder, device)

    def prepare(self, request: Request) -> Arrays:
        """Turn an event's tables into its graph.

        Raises:
            InvalidInput: ``strict`` is set and a spacepoint names an unknown hit, or a hit's
                charge is above the network's maximum.
        """
        from naiad.applications.nugraph.prepare import prepare

        return prepare(
            request,
            strict=flag(request.parameters, "strict"),
            max_integral=self._known.max_integral,
            position_scale=self._known.position_scale,
        )

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Run the network on a merged batch."""
        if self._model is None:
            raise RuntimeError("setup() has not been called")
        return {
            **self._model(batch),
            "unknown_hits": batch["unknown_hits"],
        }

    def example(self) -> dict[str, Array]:
        """Return two straight tracks from a common vertex on all three planes: 144 hits."""
        return example_event()

    @property
    def _folder(self) -> Path:
        if self.weights_path is None:
            raise WeightsError("NuGraph3 has no weights; give a folder with --weights")
        return self.weights_path

    @cached_property
    def _known(self) -> NuGraph3Card:
        known = read_card(self._folder, NuGraph3Card)
        wire = Architecture(
            planes=schema.PLANES,
            semantic_classes=schema.NUM_SEMANTIC_CLASSES,
            event_classes=schema.NUM_EVENT_CLASSES,
        )
        for size in ("planes", "semantic_classes", "event_classes", "in_features"):
            found, needed = getattr(known.architecture, size), getattr(wire, size)
            if found != needed:
                raise WeightsError(
                    f"{self._folder}: the weights have {size} {found}; the service needs {needed}"
                )
        return known


def _on_torch(folder: Path, device: str) -> Callable[[Batch], Mapping[str, Any]]:
    """Load the network in torch, with one thread: more would collide on a shared machine."""
    from naiad.applications.nugraph.weights import load_weights  # isort: skip  (says what is missing)
    import torch

    torch.set_num_threads(1)
    net = load_weights(folder)[0].to(device)

    def label(batch: Batch) -> Mapping[str, Any]:
        with torch.inference_mode():
            return net(batch.torch(device), batch.requests)

    return label


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


def flag(parameters: Mapping[str, Parameter], name: str) -> bool:
    """Read a request parameter that is a boolean, or one in words."""
    value = parameters.get(name, False)
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "false": False, "0": False}
    try:
        return words[str(value).lower()]
    except KeyError:
        raise InvalidInput(f"parameter {name} is {value!r}; it must be true or false") from None
