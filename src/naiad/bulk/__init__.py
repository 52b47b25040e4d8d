"""Resumable processing of many files, by servers or a Ray cluster."""
