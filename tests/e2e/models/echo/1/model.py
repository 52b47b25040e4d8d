"""A model that returns its inputs, or fails on request, to test every path of a client.

Request parameters: ``fail`` = "invalid" | "internal" | "unavailable"; with "unavailable", the
first ``times`` requests (default: all) that carry the same ``key`` fail and the next succeed.
``sleep`` = seconds (str) to wait before the answer.
"""

import json
import time
from collections import Counter

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.failures = Counter()

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        parameters = json.loads(request.parameters())
        time.sleep(float(parameters.get("sleep", 0)))
        error = self.failure(parameters)
        if error is not None:
            return pb_utils.InferenceResponse(error=error)
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        values = inputs["values"] + inputs.get("offset", np.int32([0])).astype(np.float32)
        told = json.dumps({"id": request.request_id(), "parameters": parameters})
        outputs = {
            "values_out": values,
            "texts_out": inputs.get("texts", np.array([], dtype=object)),
            "request": np.array([told.encode()], dtype=object),
        }
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, outputs[name]) for name in outputs if name in wanted]
        )

    def failure(self, parameters):
        kind = parameters.get("fail")
        if kind == "internal":
            raise RuntimeError("the flux capacitor is empty")
        if kind == "invalid":
            return pb_utils.TritonError(
                "values[1] is 3; echo takes 0 to 2", pb_utils.TritonError.INVALID_ARG
            )
        if kind == "unavailable":
            key, times = parameters.get("key", ""), int(parameters.get("times", 1 << 30))
            self.failures[key] += 1
            if self.failures[key] <= times:
                return pb_utils.TritonError(
                    "the model is being replaced", pb_utils.TritonError.UNAVAILABLE
                )
        return None
