"""A TorchScript file, as Triton's PyTorch backend runs it: each request before the next.

The engine has no such backend, so this is one in Python, with its defaults: one instance, torch's
own number of threads, and inference mode. Inputs and outputs are in the order of ``config.pbtxt``.
"""

import json

import torch
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        given = json.loads(args["model_config"])["parameters"]
        self.inputs = json.loads(given["inputs"]["string_value"])
        self.outputs = json.loads(given["outputs"]["string_value"])
        self.network = torch.jit.load(given["file"]["string_value"]).eval()

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        tensors = [
            torch.from_numpy(pb_utils.get_input_tensor_by_name(request, name).as_numpy())
            for name in self.inputs
        ]
        with torch.inference_mode():
            found = self.network(*tensors)
        if isinstance(found, torch.Tensor):
            found = [found]
        pairs = zip(self.outputs, found, strict=True)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, tensor.numpy()) for name, tensor in pairs]
        )
