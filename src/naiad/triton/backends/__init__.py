"""Models of Triton's backends ``pytorch``, ``onnxruntime``, ``openvino`` and ``tensorflow``.

The embedded Triton lacks these; Naiad's worker processes run their files. ``signature`` has a model
file's inputs and outputs, ``torch_file``, ``onnx_file``, ``openvino_file`` and ``tensorflow_file``
load and run one,
``binding`` matches it with a ``config.pbtxt``, ``completion`` completes that, ``rows`` and
``graphs`` define how requests are merged, and ``exported`` makes a pipeline from all of it.
``remedies`` has what to do where TensorFlow is not installed.
"""
