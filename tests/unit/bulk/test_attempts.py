"""An item that kills whoever does it is found, and costs no other item."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.unit.bulk.numbers import Numbers, read_pairs, write_numbers

from naiad.bulk.inputs import Chunk, chunks_of, find_inputs
from naiad.bulk.journal import read_record
from naiad.bulk.on_ray import Worker, _packed
from naiad.bulk.settings import Settings
from naiad.core.pipeline import Request
from naiad.runtime.spec import Spec


@dataclass(frozen=True)
class Deadly(Numbers):
    def request(self, item: float, metadata: Mapping[str, str]) -> Request:
        if item == 13:
            os._exit(9)
        return super().request(item, metadata)


def do(chunk: Chunk) -> None:
    worker = Worker(Spec("tests.unit.bulk.numbers:HalfPipeline"), Deadly(), {})
    worker({"chunk": [_packed(chunk)]})


@pytest.mark.slow
def test_what_kills_a_process_is_left_out_and_listed(tmp_path: Path) -> None:
    write_numbers(tmp_path / "a.txt", range(10, 18))
    settings = Settings(
        application="half",
        bulk=Deadly(),
        paths=[tmp_path / "a.txt"],
        results=tmp_path / "out",
        suffix=".json",
    )
    (target,) = find_inputs(settings)
    (chunk,) = chunks_of(target, 8, 8, ".json")
    deaths = 0
    while read_record(chunk) is None:
        process = multiprocessing.get_context("spawn").Process(target=do, args=(chunk,))
        process.start()
        process.join()
        deaths += process.exitcode == 9
        assert deaths < 8
    record = read_record(chunk)
    assert record is not None
    assert deaths == 3 + 2
    assert (record.written, [f.number for f in record.failures]) == (7, [3])
    assert record.failures[0].reason == "2 processes have died on it"
    chunk.part.write_text(f'{{"pairs": {chunk.part.read_text()}}}')
    assert read_pairs(chunk.part) == [(n, n) for n in range(10, 18) if n != 13]
