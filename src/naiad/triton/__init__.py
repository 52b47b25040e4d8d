"""Triton: the engine, model repositories, the server and its supervision."""
