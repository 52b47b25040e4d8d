"""Models of Triton's backends ``pytorch`` and ``onnxruntime``, which the embedded Triton lacks.

Naiad's worker processes run their files. ``signature`` has a model file's inputs and outputs,
``torch_file`` and ``onnx_file`` load and run one, ``binding`` matches it with a ``config.pbtxt``,
``completion`` completes that, ``rows`` and ``graphs`` define how requests are merged, and
``exported`` makes a pipeline from all of it.
"""
