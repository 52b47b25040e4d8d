"""Demo: classify texts by labels that the network was not trained on, with its own Triton."""

from __future__ import annotations

from pathlib import Path

from naiad.applications.text.zero_shot.task import SAMPLE_LABELS, ZeroShotTask
from naiad.cli.connect import connected
from naiad.tasks.inference import Inference, infer

TEXTS = (
    "Who are you voting for 2021?",
    "Jupiter's Biggest Moons Started as Tiny Grains of Hail",
    "Hi Matt, your payment is one week past due. Please use the link below to make your payment",
)


def run(directory: Path) -> None:
    """Serve, ask, print, and shut down; a table goes to ``directory``.

    Raises:
        NaiadError: a step failed; says why.
    """
    task = ZeroShotTask()
    what = Inference(
        task=task,
        options=task.Options(SAMPLE_LABELS),
        typed=TEXTS,
        output=directory / "labels.csv",
        concurrency=task.concurrency,
        timeout=task.timeout,
        force=True,
    )
    inputs = what.inputs()
    with connected(task.name, None, timeout=what.timeout) as client:
        infer(what, client, inputs)
