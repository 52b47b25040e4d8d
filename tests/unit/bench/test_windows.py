import pytest

from naiad.bench.load import Load, Log, Sample
from naiad.bench.windows import Rule, Window, cut

CLOSED, OPEN = Load("concurrency", 4), Load("rate", 50)
RULE = Rule(seconds=1.0)


def window(answered=100, p50: float | None = 0.010, due=100, failed=0):
    return Window(seconds=1.0, due=due, answered=answered, failed=failed, p50=p50)


def test_three_windows_that_agree_are_stable():
    assert RULE.verdict([window(96), window(100), window(104)], CLOSED) == "stable"


def test_two_windows_are_too_few():
    assert RULE.verdict([window()] * 2, CLOSED) is None


def test_only_the_last_three_count():
    assert RULE.verdict([window(20, 0.5), *[window()] * 2], CLOSED) is None
    assert RULE.verdict([window(20, 0.5), *[window()] * 3], CLOSED) == "stable"


@pytest.mark.parametrize("odd", [window(80), window(p50=0.012), window(0, None)])
def test_one_window_that_differs_by_more_than_a_tenth_asks_for_more(odd):
    assert RULE.verdict([window(), odd, window()], CLOSED) is None


def test_the_number_of_windows_is_bounded():
    restless = [window(50 if n % 2 else 150) for n in range(RULE.most)]
    assert RULE.verdict(restless[:-1], CLOSED) is None
    assert RULE.verdict(restless, CLOSED) == "not stable"


def test_a_window_without_any_answer_ends_it():
    assert RULE.verdict([window(), window(0, None, failed=7)], CLOSED) == "failing"


def test_uneven_arrivals_do_not_make_a_server_unstable():
    uneven = [window(answered=n, due=n) for n in (70, 100, 130)]
    assert RULE.verdict(uneven, OPEN) == "stable"
    assert RULE.verdict(uneven, CLOSED) is None


def test_a_growing_queue_is_an_overload():
    behind = [window(answered=80, due=100, p50=0.1 * n) for n in (1, 2, 3)]
    assert RULE.verdict(behind, OPEN) == "overloaded"
    assert RULE.verdict(behind, CLOSED) is None


def test_a_window_counts_its_own_requests():
    log = Log()
    log.due = [0.0, 0.9, 1.1, 1.9]
    log.samples = [
        Sample(0.0, 0.0, 0.5, 1, 1),
        Sample(0.9, 0.9, 1.2, 1, 1),
        Sample(1.1, 1.2, 1.5, 1, 1),
        Sample(1.9, 1.9, 1.95, 0, 0, "Unavailable"),
        Sample(1.9, 1.9, 2.0, 1, 1),
    ]
    found = cut(log, 1.0, 2.0)
    assert (found.due, found.answered, found.failed) == (2, 2, 1)
    assert found.p50 == pytest.approx(0.3)
