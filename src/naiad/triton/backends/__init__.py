"""Models of Triton's backends ``pytorch`` and ``onnxruntime``, which the embedded Triton lacks.

Their files are run by Naiad's worker processes. ``signature`` says what a model file takes and
gives, ``torch_file`` and ``onnx_file`` load and run one, ``binding`` matches it with a
``config.pbtxt``, ``completion`` adds what that leaves out, ``rows`` and ``graphs`` say how requests
are merged, and ``exported`` makes a pipeline of it all.
"""
