"""Training keeps the best epoch, stops in time and leaves the caller's random numbers alone."""

from __future__ import annotations

import math

import pytest
import torch

from naiad.applications.training import fit, seeded, step
from naiad.errors import NaiadError


def network() -> torch.nn.Linear:
    return torch.nn.Linear(1, 1, bias=False)


def fitted(scores: list[tuple[float, ...]], **options: float) -> tuple[int, int, float]:
    """Number of epochs, the best of them, and the weight that was kept: the epoch's number."""
    net = network()

    def train(number: int) -> tuple[float, ...]:
        torch.nn.init.constant_(net.weight, number)
        return scores[number]

    epochs, best = fit(net, train, len(scores), lambda epoch: epoch, **options)
    return len(epochs), best, net.weight.item()


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([(1,), (3,), (2,)], 1),
        ([(1,), (3,), (3,)], 1),
        ([(3, -2), (3, -1), (2, 0)], 1),
        ([(math.nan,), (1,)], 0),
    ],
)
def test_the_best_epoch_is_kept_and_of_equals_the_first(
    scores: list[tuple[float, ...]], best: int
) -> None:
    assert fitted(scores) == (len(scores), best, best)


def test_it_stops_when_no_score_has_improved() -> None:
    assert fitted([(2,), (1,), (1,), (3,)], patience=2) == (3, 0, 0)
    # A score that decides nothing still shows that something is learned.
    assert fitted([(2, 0), (1, 1), (1, 2), (1, 2)], patience=2) == (4, 0, 0)


def test_a_loss_that_is_not_finite_names_its_epoch() -> None:
    net = network()
    optimiser = torch.optim.SGD(net.parameters(), lr=1.0)
    with pytest.raises(NaiadError, match="not finite any more, in epoch 1; try a smaller lr"):
        fit(net, lambda _: step(net.weight.sum() * math.inf, optimiser), 2, lambda loss: (loss,))


def test_a_seed_leaves_the_random_numbers_of_others_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with seeded(7):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded(7):
        assert torch.equal(torch.rand(3), first)
