"""Naiad's applications against the ways in which their public examples serve them.

Each example is written anew: same contract, same network, same steps, on the same Triton. Nothing
here is used by Naiad.
"""
