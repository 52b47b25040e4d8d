"""``naiad simulate``: make data to try a model with."""

from __future__ import annotations

from naiad.cli.verbs import group

app = group("simulate", "Simulate data, with truth, to try a model with.")
