"""NuGraph2 or NuGraph3 in Triton's Python backend: each request is answered before the next.

The parameter ``tuned`` of its ``config.pbtxt`` chooses between two settings:

* ``false``, as people run it: the model as it was constructed (training mode, gradients recorded),
  and as many threads as torch takes;
* ``true``, the best settings: evaluation mode, no gradients, one thread, and a garbage collector
  that ignores permanent objects.
"""

import contextlib
import gc
import json
import sys
from pathlib import Path

import torch
import triton_python_backend_utils as pb_utils
from safetensors.torch import load_file


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        parameters = {k: v["string_value"] for k, v in config["parameters"].items()}
        sys.path.append(parameters["source"])
        from benchmarks.reference.graph import HIT_COLUMNS, SPACEPOINT_COLUMNS, Preparation
        from benchmarks.reference.network import NuGraph3
        from benchmarks.reference.nugraph2 import NuGraph2

        self.inputs = [
            *(f"hit_table_{column}" for column in HIT_COLUMNS),
            *(f"spacepoint_table_{column}" for column in SPACEPOINT_COLUMNS),
        ]
        weights = Path(parameters["weights"])
        metadata = json.loads((weights / "weights.json").read_text())
        sizes = metadata["architecture"]
        del sizes["planes"]
        kind = {"nugraph2": NuGraph2, "nugraph3": NuGraph3}[parameters["network"]]
        self.prepare = Preparation(metadata["mean"], metadata["std"])
        self.model = kind(**sizes)
        self.model.load_state_dict(load_file(weights / "weights.safetensors"))
        self.gradients = contextlib.nullcontext
        if parameters["tuned"] == "true":
            torch.set_num_threads(1)
            self.model.eval()
            self.gradients = torch.no_grad
            gc.collect()
            gc.freeze()

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        tensors = {
            name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in self.inputs
        }
        try:
            with self.gradients():
                outputs = self.model(self.prepare(tensors))
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, value.detach().numpy()) for name, value in outputs.items()]
        )
