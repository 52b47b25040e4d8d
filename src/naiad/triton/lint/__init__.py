"""A model repository held against what Triton and its backends take, without a server."""
