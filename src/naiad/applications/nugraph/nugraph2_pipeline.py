"""The served NuGraph2: tables of hits and spacepoints in, labels of hits out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from naiad.applications.nugraph import schema
from naiad.applications.nugraph.base_pipeline import Network, NuGraphPipeline
from naiad.applications.nugraph.card import NuGraph2Card
from naiad.applications.nugraph.heads import NUGRAPH2_HEADS


class NuGraph2(NuGraphPipeline):
    """Semantic class and signal probability of each hit: the model that LArSoft asks for."""

    name = "nugraph2"
    outputs = schema.NUGRAPH2_OUTPUTS
    weights = "data/nugraph2_weights"
    kind = NuGraph2Card
    classes = {"semantic_classes": schema.NUGRAPH2_SEMANTIC_CLASSES}

    def metadata(self) -> Mapping[str, str]:
        """Return classes, heads, notice and sha256 of the weights, for clients."""
        return {**super().metadata(), "heads": ",".join(NUGRAPH2_HEADS)}

    def load_compiled(self, folder: Path) -> Network:
        """Load the network in C++; raise `OSError` without its library."""
        # Imported here, as the command line needs neither safetensors nor the library.
        from naiad.applications.nugraph.nugraph2_compiled import CompiledNuGraph2

        return CompiledNuGraph2.load(folder)

    def load_torch(self, folder: Path) -> Any:
        """Load the network in torch."""
        from naiad.applications.nugraph.weights import load_nugraph2

        return load_nugraph2(folder)[0]


class NuGraph2Cpu(NuGraph2):
    """The same model under the name that LArSoft uses for it on a CPU, where it always runs."""

    name = "nugraph2_cpu"

    def setup(self, device: str) -> None:
        """Load the weights for the CPU, whatever ``device`` is."""
        super().setup("cpu")
