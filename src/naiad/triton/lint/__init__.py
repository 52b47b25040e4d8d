"""Checks of a model repository against Triton and its backends, without a server."""
