"""``naiad train``: train a model on a file of data."""

from __future__ import annotations

from naiad.cli.verbs import group

app = group("train", "Train a model and write its weights.")
