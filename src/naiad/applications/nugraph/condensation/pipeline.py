"""The served NuGraph3 with object condensation: its outputs are those of its checkpoint's heads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from naiad.applications.nugraph.base_pipeline import example_event, flag
from naiad.applications.nugraph.condensation import schema
from naiad.applications.nugraph.condensation.card import HEADS, Architecture, CondensationCard
from naiad.applications.nugraph.schema import PLANES
from naiad.card import read_card
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import Array, Arrays
from naiad.errors import WeightsError

_ANY = CondensationCard(
    generation=2,
    heads=HEADS,
    architecture=Architecture(),
    semantic_classes=("",) * Architecture().semantic_classes,
    event_classes=("",) * Architecture().event_classes,
    mean=(0.0,) * Architecture().in_features,
    var=(1.0,) * Architecture().in_features,
)


class Condensation(Pipeline):
    """Class, signal probability and particle of each hit, event class and vertex of each event.

    Base of the classes that :func:`naiad.applications.nugraph.by_weights.nugraph3` makes of
    weights, with the outputs of their heads. ``weights`` is a folder that ``naiad weights import``
    wrote of a checkpoint of 2026.

    With the request parameter ``strict``, an event whose spacepoints name unknown hits is refused;
    by default those entries are ignored and counted in ``unknown_hits``.
    """

    name = "nugraph3"
    made_by = "naiad.applications.nugraph.by_weights:nugraph3"
    inputs = schema.INPUTS
    sample = schema.sample(_ANY.architecture.in_features)
    result = schema.result(_ANY)
    outputs = schema.outputs(_ANY)
    budget = Budget(hits=1_024, spacepoints=2_048)
    limit = Budget(hits=100_000, spacepoints=500_000)
    prepare_threads = 4
    merges = True  # each event is a graph of its own

    known: ClassVar[CondensationCard] = _ANY

    _net: Any = None

    @classmethod
    def of(cls, folder: Path) -> type[Condensation]:
        """Make the class for the weights in a folder.

        Raises:
            WeightsError: the card is missing, or of another network.
        """
        known = read_card(folder, CondensationCard)
        made = type(
            cls.__name__,
            (cls,),
            {
                "__module__": __name__,
                "__doc__": cls.__doc__,
                "name": cls.name,
                "known": known,
                "sample": schema.sample(known.architecture.in_features),
                "result": schema.result(known),
                "outputs": schema.outputs(known),
                "weights": folder,
            },
        )
        return cast("type[Condensation]", made)

    def metadata(self) -> Mapping[str, str]:
        """Return heads, classes, notice and sha256 of the weights, for clients."""
        known = self._checked
        left_out = schema.left_out(known)
        return {
            "heads": ",".join(schema.given(known.heads)),
            "semantic_classes": ",".join(known.semantic_classes),
            "event_classes": ",".join(known.event_classes),
            "instance_features": str(known.architecture.instance_features),
            "graph_generation": str(known.generation),
            "notice": known.notice,
            "weights_sha256": known.sha256,
            **({"left_out": json.dumps(left_out)} if left_out else {}),
        }

    def setup(self, device: str) -> None:
        """Load the weights onto ``device``."""
        from naiad.applications.nugraph.condensation.weights import load_weights  # isort: skip  (says what is missing)

        self._net = load_weights(self._folder)[0].to(device)

    def prepare(self, request: Request) -> Arrays:
        """Turn an event's tables into its graph.

        Raises:
            InvalidInput: ``strict`` is set and a spacepoint names an unknown hit, or a hit's
                charge is above the network's maximum.
        """
        from naiad.applications.nugraph.condensation.prepare import prepare

        return prepare(
            request,
            self.known.generation,
            strict=flag(request.parameters, "strict"),
            max_integral=self.known.max_integral,
            position_scale=self.known.position_scale,
        )

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Run the network on a merged batch."""
        if self._net is None:
            raise RuntimeError("setup() has not been called")
        kept = {name: batch[name] for name in ("hit_plane", "unknown_hits")}
        return {**self._net(batch, batch.requests), **kept}

    def finish(self, result: Arrays) -> Arrays:
        """Find the particles of one event, and put its hits in order of plane."""
        from naiad.applications.nugraph.condensation.instances import particles

        plane = result["hit_plane"]
        rows = {name: np.flatnonzero(plane == number) for number, name in enumerate(PLANES)}
        found = {name: result[name] for name in type(self).result if name != "hit_plane"}
        if "ox" in found:
            found["i"] = particles(found)
        answer: dict[str, Array] = {}
        for name, array in found.items():
            if name in self.outputs:
                answer[name] = array
            else:
                answer |= {f"{name}_{p}": array[chosen] for p, chosen in rows.items()}
        return {name: answer[name] for name in self.outputs}

    def example(self) -> dict[str, Array]:
        """Return two straight tracks from a common vertex on all three planes: 144 hits."""
        return example_event()

    @property
    def _folder(self) -> Path:
        if self.weights_path is None:
            raise WeightsError(f"{self.name} has no weights; give a folder with --weights")
        return self.weights_path

    @cached_property
    def _checked(self) -> CondensationCard:
        """The card in the folder, which must be that of the class."""
        found = read_card(self._folder, CondensationCard)
        if found != self.known:
            raise WeightsError(f"{self._folder}: not the weights that the model was made of")
        return found
