"""Networks run by torch, ONNX Runtime or OpenVINO, with the same call.

``opening`` opens a file or a torch module for a runtime, converts it where needed, and compares the
conversion with the original; ``torch_networks``, ``onnx_networks`` and ``openvino_networks`` hold
all that Naiad knows of each library.
"""
