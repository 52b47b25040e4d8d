"""Backends that the embedded Triton lacks, in Python: ``pytorch`` and ``onnxruntime``.

Each is a folder with the ``model.py`` that Triton starts; what it does is in the modules beside:
``signature`` says what a model file takes and gives, ``torch_file`` and ``onnx_file`` load and run
one, ``binding`` matches it with a ``config.pbtxt``, ``batches`` merges requests, ``plain`` serves
it as NVIDIA's backends do, and ``graphs`` serves it with Naiad's batching of graphs.
"""
