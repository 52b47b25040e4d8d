"""The served NuGraph3: tables of hits and spacepoints in, labels and vertex out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from naiad.applications.nugraph import schema
from naiad.applications.nugraph.base_pipeline import Network, NuGraphPipeline
from naiad.applications.nugraph.card import NuGraph3Card


class NuGraph3(NuGraphPipeline):
    """Semantic class and signal probability of each hit, event class and vertex of each event."""

    name = "nugraph3"
    outputs = schema.OUTPUTS
    weights = "data/weights"
    made_by = "naiad.applications.nugraph.by_weights:nugraph3"
    kind = NuGraph3Card
    classes = {
        "semantic_classes": schema.NUM_SEMANTIC_CLASSES,
        "event_classes": schema.NUM_EVENT_CLASSES,
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let a subclass be found by its own name, unless it says how it is made."""
        super().__init_subclass__(**kwargs)
        if "made_by" not in cls.__dict__:
            cls.made_by = ""

    def metadata(self) -> Mapping[str, str]:
        """Return classes, notice and sha256 of the weights, for clients."""
        known = self._known
        assert isinstance(known, NuGraph3Card)
        return {**super().metadata(), "event_classes": ",".join(known.event_classes)}

    def load_compiled(self, folder: Path) -> Network:
        """Load the network in C++; raise `OSError` without its library."""
        # Imported here, as the command line needs neither safetensors nor the library.
        from naiad.applications.nugraph.compiled import CompiledNuGraph3

        return CompiledNuGraph3.load(folder)

    def load_torch(self, folder: Path) -> Any:
        """Load the network in torch."""
        from naiad.applications.nugraph.weights import load_weights

        return load_weights(folder)[0]
