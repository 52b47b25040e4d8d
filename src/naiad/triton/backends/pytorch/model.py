"""The backend ``pytorch`` in Python: what Triton starts for each of its models."""

from naiad.triton.backends.stub import ExportedModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
