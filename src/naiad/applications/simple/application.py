"""``simple`` as an application: only a pipeline."""

from __future__ import annotations

from naiad.application import Application


class SimpleApplication(Application):
    """Triton's own example."""

    name = "simple"
    summary = "sum and difference of integers: Triton's example, to try out an engine"
    pipeline = "naiad.applications.simple.pipeline:Simple"
