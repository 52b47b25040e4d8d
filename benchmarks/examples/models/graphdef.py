"""A frozen TensorFlow graph, as Triton's TensorFlow backend runs it: each request before the next.

The engine has no such backend, so this is one in Python, with TensorFlow's own number of threads.
"""

import json
from pathlib import Path

import tensorflow as tf
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        given = json.loads(args["model_config"])["parameters"]
        (self.input,) = json.loads(given["inputs"]["string_value"])
        (self.output,) = json.loads(given["outputs"]["string_value"])
        graph = tf.compat.v1.GraphDef()
        graph.ParseFromString(Path(given["file"]["string_value"]).read_bytes())
        loaded = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
        self.network = loaded.prune(f"{self.input}:0", f"{self.output}:0")

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        images = pb_utils.get_input_tensor_by_name(request, self.input).as_numpy()
        scores = self.network(tf.constant(images))
        return pb_utils.InferenceResponse([pb_utils.Tensor(self.output, scores.numpy())])
