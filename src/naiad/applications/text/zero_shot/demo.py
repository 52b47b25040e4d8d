"""Texts and labels that a network was never trained on, through a Triton of its own."""

from __future__ import annotations

from pathlib import Path

from naiad.applications.text.zero_shot.infer_file import Job, infer_texts

TEXTS = (
    "Who are you voting for 2021?",
    "Jupiter's Biggest Moons Started as Tiny Grains of Hail",
    "Hi Matt, your payment is one week past due. Please use the link below to make your payment",
)
LABELS = ("business", "space and science", "politics")


def run(directory: Path) -> None:
    """Serve, ask, print, and shut down; a table goes to ``directory``.

    Raises:
        NaiadError: what could not be done, and why.
    """
    directory.mkdir(parents=True, exist_ok=True)
    job = Job(texts=TEXTS, files=(), labels=LABELS, csv=directory / "labels.csv", force=True)
    infer_texts(job, None)
