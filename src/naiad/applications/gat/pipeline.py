"""The served graph attention network, ``gat_test``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naiad.applications.gat.card import GatCard
from naiad.applications.gat.schema import CLASSES, FEATURES, INPUTS, OUTPUTS
from naiad.card import read_card
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline
from naiad.core.schema import Array
from naiad.errors import WeightsError

if TYPE_CHECKING:
    from naiad.applications.gat.model import GatNet


class Gat(Pipeline):
    """Topic of each paper in a citation graph.

    ``weights`` is a folder written by :mod:`naiad.applications.gat.weights`.
    """

    name = "gat_test"
    inputs = INPUTS
    outputs = OUTPUTS
    # Small graphs share the cost of a call; beyond this, edges fall out of the caches and a
    # merged batch is slower than its graphs one by one (benchmarks/gat_batches.py).
    budget = Budget(nodes=2_048, edges=8_192)
    limit = Budget(nodes=200_000, edges=5_000_000)
    weights = "data/weights"

    _model: GatNet | None = None

    def metadata(self) -> Mapping[str, str]:
        """Return classes, notice and origin of the weights, for clients."""
        known = self._known
        return {
            "classes": ",".join(known.classes),
            "row_normalised": str(known.row_normalised).lower(),
            "trained_on": known.trained_on,
            "notice": known.notice,
            "weights_sha256": known.sha256,
        }

    def setup(self, device: str) -> None:
        """Load the weights onto ``device``."""
        # Imported here, as the command line does without torch.
        from naiad.applications.gat.weights import load_weights

        _ = self._known  # refuses weights that cannot answer the wire contract
        net, _ = load_weights(self._folder)
        self._model = net.to(device)

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Run the network on a merged batch."""
        if self._model is None:
            raise RuntimeError("setup() has not been called")
        return {"logits__0": self._model(batch["x__0"], batch["edgeindex__1"])}

    def example(self) -> dict[str, Array]:
        """Return a small synthetic citation graph."""
        from naiad.applications.gat.simulate import simulate

        return simulate(40, seed=0).arrays(row_normalised=self._known.row_normalised)

    @property
    def _folder(self) -> Path:
        if self.weights_path is None:
            raise WeightsError("GAT has no weights; give a folder with --weights")
        return self.weights_path

    @cached_property
    def _known(self) -> GatCard:
        known = read_card(self._folder, GatCard)
        for size, needed in (("features", FEATURES), ("classes", CLASSES)):
            found = getattr(known.architecture, size)
            if found != needed:
                raise WeightsError(
                    f"{self._folder}: the weights have {found} {size}; {self.name} needs {needed}"
                )
        return known
