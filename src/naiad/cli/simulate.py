"""``naiad simulate``: make data to try a model with."""

from __future__ import annotations

from naiad.cli.verbs import group

app = group(
    "simulate",
    """Simulate data, with truth, to try a model with.

    With --perf-analyzer, write requests for NVIDIA's load generator: for these
    applications, any model on a server, and my_model.py:MyModel.

    [bold]Example[/]

      naiad simulate my_model.py:MyModel --perf-analyzer data.json
    """,
)
