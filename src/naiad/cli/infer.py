"""``naiad infer``: send raw data to a served model; print, write and draw results."""

from __future__ import annotations

from naiad.cli.verbs import group

app = group(
    "infer",
    "Send data to a served model; print, write and draw results. Besides the applications below, "
    "it takes any model on the server and my_model.py:MyModel; inputs are then files of tensors.",
)
