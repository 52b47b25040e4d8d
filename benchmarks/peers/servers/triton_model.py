"""The ``model.py`` of Triton's Python backend: a batch of requests is one call of the network."""

import gc
import json
import sys

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        parameters = {k: v["string_value"] for k, v in config["parameters"].items()}
        sys.path[:0] = [parameters["source"], parameters["source"] + "/src"]
        from benchmarks.peers.works import find_work

        self.inputs = [tensor["name"] for tensor in config["input"] if not tensor.get("optional")]
        self.outputs = {tensor["name"] for tensor in config["output"]}
        self.predict = find_work(parameters["work"]).load()
        gc.collect()
        gc.freeze()

    def execute(self, requests):
        given = [
            {
                name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0]
                for name in self.inputs
            }
            for request in requests
        ]
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, array[None]) for name, array in answer.items()]
            )
            for answer in self.predict(given)
        ]
