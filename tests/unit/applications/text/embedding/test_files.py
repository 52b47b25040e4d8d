"""Texts of files and of standard input, and those that are made up."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from naiad.applications.text.embedding.files import read_lines, read_requests
from naiad.applications.text.embedding.simulate import simulated_requests, simulated_texts
from naiad.applications.text.zero_shot import requests
from naiad.errors import InvalidInput


def test_lines_with_something_on_them_are_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.txt").write_text("one\n\n  Grüße \n", "utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("three\nfour"))
    texts = list(read_lines([tmp_path / "a.txt", Path("-")]))
    assert texts == ["one", "Grüße", "three", "four"]
    assert [r["text"].tolist() for r in read_requests(tmp_path / "a.txt")] == [
        [b"one"],
        ["Grüße".encode()],
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"gone\.txt cannot be read: No such file"):
        list(read_lines([tmp_path / "gone.txt"]))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 noir")
    with pytest.raises(InvalidInput, match=r"latin\.txt is no UTF-8: invalid continuation byte"):
        list(read_lines([tmp_path / "latin.txt"]))


def test_texts_that_are_made_up_are_the_same_for_a_seed():
    assert list(simulated_texts(20, 3)) == list(simulated_texts(20, 3))
    lengths = sorted(len(text.split()) for text in simulated_texts(400))
    assert 15 <= lengths[200] <= 25
    assert lengths[0] >= 1
    assert 75 <= lengths[-5] <= 400


def test_both_models_have_requests_to_measure_with(tmp_path: Path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    for found in (requests.read_requests(tmp_path / "a.txt"), requests.simulated_requests(2)):
        first, second = found
        assert len(first["labels"]) == len(second["labels"]) == 3
    assert [r.keys() for r in simulated_requests(2)] == [{"text"}] * 2
