"""Triton's example ``simple``: the sum and difference of two rows of integers."""
