import pytest

from naiad.runtime.circuit import Circuit


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def circuit(clock):
    return Circuit(clock=clock)


def fail(circuit, times):
    for _ in range(times):
        circuit.failed("it died")


def test_a_request_that_fails_twice_does_not_open_it(circuit):
    fail(circuit, 2)
    assert circuit.rest == 0
    assert not circuit.on_trial


def test_rests_double_up_to_the_longest(circuit, clock):
    rests = []
    fail(circuit, 2)
    for _ in range(8):
        circuit.failed("it died")
        rests.append(circuit.rest)
        clock.now += circuit.rest
    assert rests == [1, 2, 4, 8, 16, 30, 30, 30]


def test_after_the_rest_it_is_on_trial_until_something_succeeds(circuit, clock):
    fail(circuit, 3)
    clock.now += 0.75
    assert circuit.rest == 0.25
    clock.now += 0.25
    assert circuit.rest == 0
    assert circuit.on_trial
    circuit.succeeded()
    assert not circuit.on_trial
    fail(circuit, 2)
    assert circuit.rest == 0


def test_failures_of_long_ago_are_forgotten(circuit, clock):
    fail(circuit, 2)
    clock.now += 61
    fail(circuit, 2)
    assert circuit.rest == 0


def test_many_failures_do_not_overflow(circuit):
    fail(circuit, 5000)
    assert circuit.rest == 30
