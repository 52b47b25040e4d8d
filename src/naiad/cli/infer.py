"""``naiad infer``: raw data to a served model, results to the screen, files and pictures."""

from __future__ import annotations

from naiad.cli.verbs import group

app = group("infer", "Send data to a served model and write what it says.")
