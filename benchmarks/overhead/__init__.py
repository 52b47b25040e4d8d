"""Overhead of Naiad over a bare model of Triton's Python backend."""
