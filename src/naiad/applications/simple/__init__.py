"""Triton's example ``simple``: sum and difference of two rows of integers, to try an engine."""
