"""A model that returns its input."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("y", _input(request))])
            for request in requests
        ]


def _input(request):
    return pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
