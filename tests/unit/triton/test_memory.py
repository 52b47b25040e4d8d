import mmap
import os

import psutil
import pytest

from naiad.triton import memory
from naiad.triton.memory import MemoryWatch, available, occupied, proportional_size

MB = 1 << 20


def test_memory_that_is_touched_is_occupied_and_memory_that_is_only_mapped_is_not():
    before = proportional_size(os.getpid())
    with mmap.mmap(-1, 64 * MB) as mapped:
        assert proportional_size(os.getpid()) < before + 8 * MB
        for page in range(0, 64 * MB, mmap.PAGESIZE):
            mapped[page] = 1
        assert proportional_size(os.getpid()) > before + 56 * MB


def test_a_process_that_has_ended_occupies_nothing():
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    assert proportional_size(child) == 0
    assert occupied(child) == 0


def test_what_there_is_is_at_most_the_machine():
    assert 0 < available() <= psutil.virtual_memory().total


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes = [100 * MB]
    monkeypatch.setattr(memory, "occupied", lambda triton: sizes[-1])
    return sizes


def test_a_server_that_grows_beyond_its_limit_is_in_excess(sizes: list[int]):
    watch = MemoryWatch(150_000_000, interval=0)
    assert watch.begin(1) == ""
    assert watch.excess(1) == ""
    sizes.append(149_999_999)
    assert watch.excess(1) == ""
    sizes.append(150_000_000)
    assert watch.excess(1) == (
        "the server has grown from 105 MB to 150 MB; its memory limit is 150 MB"
    )


def test_a_server_that_needs_more_than_its_limit_is_left_alone_and_said_to(sizes: list[int]):
    watch = MemoryWatch(50_000_000, interval=0)
    assert "ignored" in watch.begin(1)
    sizes.append(10**9)
    assert watch.excess(1) == ""
    sizes.append(MB)
    assert watch.begin(2) == ""  # after a restart for another reason


def test_it_is_not_looked_at_all_the_time(sizes: list[int]):
    watch = MemoryWatch(150_000_000, interval=60)
    watch.begin(1)
    sizes.append(10**9)
    assert watch.excess(1) == ""


def test_by_default_a_server_may_occupy_nine_tenths_of_what_there_is():
    assert MemoryWatch(None, 1).limit == int(0.9 * available())
