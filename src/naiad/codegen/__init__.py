"""Clients' types in other languages, derived from a pipeline's schema."""
