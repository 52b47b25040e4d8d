"""Measurement of a pipeline on this machine, and the budget and instances it recommends."""
