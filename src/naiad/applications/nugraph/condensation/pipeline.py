"""The served NuGraph3 with object condensation: its outputs are those of its checkpoint's heads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from naiad.applications.nugraph.base_pipeline import Network, NuGraphPipeline, flag
from naiad.applications.nugraph.condensation import schema
from naiad.applications.nugraph.condensation.card import HEADS, Architecture, CondensationCard
from naiad.applications.nugraph.schema import PLANES
from naiad.card import read_card
from naiad.core.merging import Batch
from naiad.core.pipeline import Request
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


class Condensation(NuGraphPipeline):
    """Class, signal probability and particle of each hit, event class and vertex of each event.

    Base of the classes that :func:`naiad.applications.nugraph.by_weights.nugraph3` makes of
    weights, with the outputs of their heads. ``weights`` is a folder that ``naiad weights import``
    wrote of a checkpoint of 2026.
    """

    name = "nugraph3"
    made_by = "naiad.applications.nugraph.by_weights:nugraph3"
    kind = CondensationCard
    inputs = schema.INPUTS
    sample = schema.sample(_ANY.architecture.in_features)
    result = schema.result(_ANY)
    outputs = schema.outputs(_ANY)
    merges = True  # each event is a graph of its own

    of_class: ClassVar[CondensationCard] = _ANY
    """The card that the class was made of."""

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
                "of_class": known,
                "sample": schema.sample(known.architecture.in_features),
                "result": schema.result(known),
                "outputs": schema.outputs(known),
                "weights": folder,
            },
        )
        return cast("type[Condensation]", made)

    def metadata(self) -> Mapping[str, str]:
        """Return heads, classes, notice and sha256 of the weights, for clients."""
        known = self._known
        left_out = schema.left_out(known)
        return {
            **super().metadata(),
            "heads": ",".join(schema.given(known.heads)),
            "event_classes": ",".join(known.event_classes),
            "instance_features": str(known.architecture.instance_features),
            "graph_generation": str(known.generation),
            **({"left_out": json.dumps(left_out)} if left_out else {}),
        }

    def load_compiled(self, folder: Path) -> Network:
        """Load the network in C++; raise `OSError` without its library."""
        from naiad.applications.nugraph.condensation.compiled import CompiledCondensation

        return CompiledCondensation.load(folder)

    def load_torch(self, folder: Path) -> Any:
        """Load the network in torch."""
        from naiad.applications.nugraph.condensation.weights import load_weights

        return load_weights(folder)[0]

    def prepare(self, request: Request) -> Arrays:
        """Turn an event's tables into its graph.

        Raises:
            InvalidInput: ``strict`` is set and a spacepoint names an unknown hit, or a hit's
                charge is above the network's maximum.
        """
        from naiad.applications.nugraph.condensation.prepare import prepare

        known = self._known
        return prepare(
            request,
            known.generation,
            strict=flag(request.parameters, "strict"),
            max_integral=known.max_integral,
            position_scale=known.position_scale,
        )

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Run the network on a merged batch."""
        return {**super().forward(batch), "hit_plane": batch["hit_plane"]}

    def finish(self, result: Arrays) -> Arrays:
        """Find the particles of one event, and put its hits in order of plane."""
        from naiad.applications.nugraph.condensation.instances import particles

        plane = result["hit_plane"]
        rows = {name: np.flatnonzero(plane == number) for number, name in enumerate(PLANES)}
        found = {name: array for name, array in result.items() if name != "hit_plane"}
        if "ox" in found:
            found["i"] = particles(found)
        answer: dict[str, Array] = {}
        for name, array in found.items():
            if name in self.outputs:
                answer[name] = array
            else:
                answer |= {f"{name}_{p}": array[chosen] for p, chosen in rows.items()}
        return {name: answer[name] for name in self.outputs}

    @cached_property
    def _known(self) -> CondensationCard:
        """The card in the folder, which must be that of the class."""
        found = read_card(self._folder, CondensationCard)
        if found != self.of_class:
            raise WeightsError(f"{self._folder}: not the weights that the model was made of")
        return found
