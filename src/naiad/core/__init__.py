"""Schemas, pipelines, merging and budgets: no I/O, no Triton, no torch."""
