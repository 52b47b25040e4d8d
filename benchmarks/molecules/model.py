"""The same network in Triton's Python backend, as people write it: one request at a time."""

import gc
import json
import sys

import torch
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        sys.path.append(config["parameters"]["source"]["string_value"])
        from benchmarks.molecules.network import MolNet

        torch.set_num_threads(1)
        self.net = MolNet().eval()
        gc.collect()
        gc.freeze()

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    @torch.inference_mode()
    def answer(self, request):
        x, edge_index = (
            torch.from_numpy(pb_utils.get_input_tensor_by_name(request, name).as_numpy())
            for name in ("x", "edge_index")
        )
        batch = torch.zeros(len(x), dtype=torch.int64)
        output = self.net(x, edge_index, batch, 1)
        return pb_utils.InferenceResponse([pb_utils.Tensor("output", output.numpy())])
