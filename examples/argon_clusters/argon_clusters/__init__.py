"""Energies of clusters of argon atoms."""
