"""A model of the backends ``pytorch`` and ``onnxruntime``, as Triton's Python backend runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]

from naiad.errors import InvalidInput
from naiad.schema import Array
from naiad.triton.adapter import PipelineModel, response
from naiad.triton.backends.batches import run_requests
from naiad.triton.backends.completion import complete
from naiad.triton.backends.graphs import DIMS_PARAMETER, adapter_parameters, graph_spec
from naiad.triton.backends.models import load_model
from naiad.triton.backends.signature import read_signature
from naiad.triton.model_config import ModelConfig, parse_model_config


class ExportedModel:
    """What Triton knows as ``TritonPythonModel``."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        """Complete a config from its model file, before anything is loaded."""
        config: dict[str, Any] = auto_complete_model_config.as_dict()
        if config.get("input") and config.get("output"):
            return auto_complete_model_config
        version = Path(pb_utils.get_model_dir())
        known = parse_model_config(json.dumps(config), version.parent)
        complete(config, read_signature(known.model_file(version.name)))
        return auto_complete_model_config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model; Triton reports what this raises as the reason of a failed load."""
        # Where the path has what Triton cannot take, the server has given it a link.
        folder = Path(args["model_repository"]).resolve()
        config = parse_model_config(args["model_config"], folder)
        version = args["model_version"]
        graphs = DIMS_PARAMETER in config.parameters
        self._model = (GraphModel if graphs else PlainModel)(config, version, args)

    def execute(self, requests: list[Any]) -> list[Any] | None:
        """Answer requests: at once, or None where they are answered later."""
        return self._model.execute(requests)

    def finalize(self) -> None:
        """End what was started."""
        self._model.finalize()


class PlainModel:
    """A model that runs in this process, batched by Triton's scheduler."""

    def __init__(self, config: ModelConfig, version: str, args: Mapping[str, str]) -> None:
        """Load the model onto the device of this instance."""
        kind, index = args["model_instance_kind"], args["model_instance_device_id"]
        device = {"GPU": f"cuda:{index}", "MODEL": None}.get(kind, "cpu")
        self._batched = config.max_batch_size > 0
        self._inputs = {tensor.name: tensor for tensor in config.inputs}
        self._model = load_model(config, version, device)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the requests together where they have a batch dimension."""
        arrays: list[dict[str, Array]] = [
            {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
            for request in requests
        ]
        outcomes: list[Any] = [self._incomplete(given) for given in arrays]
        whole = [number for number, error in enumerate(outcomes) if error is None]
        results = run_requests(self._model, [arrays[n] for n in whole], batched=self._batched)
        for number, outcome in zip(whole, results, strict=True):
            outcomes[number] = outcome
        return [
            response(outcome, frozenset(request.requested_output_names()))
            for outcome, request in zip(outcomes, requests, strict=True)
        ]

    def finalize(self) -> None:
        """Nothing is left to end."""

    def _incomplete(self, arrays: Mapping[str, Array]) -> InvalidInput | None:
        missing = [name for name in self._inputs if name not in arrays]
        if missing:
            return InvalidInput(f"input {missing[0]!r} is missing; exported models need them all")
        return None


class GraphModel(PipelineModel):
    """A model of graphs, merged block-diagonally by Naiad and run in its worker processes."""

    def __init__(self, config: ModelConfig, version: str, args: Mapping[str, str]) -> None:
        """Start the workers."""
        self.version = config.path / version
        self.spec = graph_spec(self.version)
        whole = json.loads(args["model_config"])
        parameters = adapter_parameters(config, args["model_instance_kind"])
        whole["parameters"] = {k: {"string_value": v} for k, v in parameters.items()}
        self.initialize({**args, "model_config": json.dumps(whole)})
