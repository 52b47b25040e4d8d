"""Threads for batches: idle cores are shared, and never more are given than there are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.conftest import Talk

ANY = 99


class Cores:
    """The cores of a machine in the driver, whose clock stands still."""

    def __init__(self, driver: Talk, number: int) -> None:
        self._driver = driver
        self.at(0)
        driver.tell("new", number)

    def at(self, milliseconds: int) -> None:
        self._driver.tell("at", milliseconds)

    def begin(self, *, least: int = 1, most: int = ANY) -> int:
        return int(self._driver.ask("begin", least, most))

    def end(self, threads: int) -> None:
        self._driver.tell("end", threads)


@pytest.fixture(scope="module")
def make(talk: Callable[[str], Talk]) -> Callable[[int], Cores]:
    driver = talk("threads")
    return lambda number: Cores(driver, number)


def test_a_lone_batch_gets_all_cores_and_a_second_one_its_own(
    make: Callable[[int], Cores],
) -> None:
    cores = make(4)
    assert cores.begin() == 4
    assert cores.begin() == 1  # the first keeps what it has
    cores.end(4)
    assert cores.begin() == 2  # half, as long as both run
    cores.end(1)
    assert cores.begin() == 2


def test_batches_that_begin_together_again_and_again_share_the_cores(
    make: Callable[[int], Cores],
) -> None:
    cores = make(2)
    for end, first in ((500, 2), (1000, 1), (1500, 1)):
        found = [cores.begin(), cores.begin()]
        assert found == [first, 1]
        cores.at(end)
        for threads in found:
            cores.end(threads)
    cores.at(3000)
    assert cores.begin() == 1  # a second one is still to be expected
    cores.end(1)
    cores.at(4000)
    assert cores.begin() == 2


def test_a_batch_that_cannot_use_more_leaves_them_to_others(make: Callable[[int], Cores]) -> None:
    cores = make(4)
    assert cores.begin(most=1) == 1
    assert cores.begin() == 2
    cores.end(1)
    cores.end(2)
    assert cores.begin(least=6, most=6) == 6  # as was set, however many cores there are
    assert cores.begin() == 1
