"""Synthetic texts for measurements."""

from __future__ import annotations

from naiad.applications.text.embedding.simulate import simulated_texts
from naiad.applications.text.embedding.task import TextEmbeddingTask
from naiad.applications.text.zero_shot.task import ZeroShotTask


def test_texts_that_are_made_up_are_the_same_for_a_seed():
    assert list(simulated_texts(20, 3)) == list(simulated_texts(20, 3))
    lengths = sorted(len(text.split()) for text in simulated_texts(400))
    assert 15 <= lengths[200] <= 25
    assert lengths[0] >= 1
    assert 75 <= lengths[-5] <= 400


def test_both_models_have_requests_to_measure_with(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    for found in (
        ZeroShotTask.requests_in(tmp_path / "a.txt"),
        ZeroShotTask.simulated_requests(2, 0),
    ):
        first, second = found
        assert len(first["labels"]) == len(second["labels"]) == 3
    assert [r["text"].tolist() for r in TextEmbeddingTask.requests_in(tmp_path / "a.txt")] == [
        [b"one"],
        [b"two"],
    ]
    assert [r.keys() for r in TextEmbeddingTask.simulated_requests(2, 0)] == [{"text"}] * 2
