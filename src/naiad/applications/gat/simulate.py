"""Synthetic citation graphs: papers with words, in seven topics, that cite one another.

A stochastic block model with uneven degrees (Karrer and Newman, arXiv:1008.3926): a paper cites
papers of its own topic more often than others. Its words follow Zipf's law, in which the topic's
own words are more frequent. Sizes and ratios are like Cora's; words and topics have no meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.gat.graphs import CitationGraph
from naiad.applications.gat.schema import CLASSES, FEATURES
from naiad.errors import InvalidInput

TOPICS: Final = tuple(f"synthetic topic {number}" for number in range(1, CLASSES + 1))
SOURCE: Final = "a synthetic citation graph"

# Words belong to the same topics in every graph; otherwise weights would be useless.
_VOCABULARY_SEED: Final = 1433
_OWN_WORDS: Final = 60  # per topic
_BOOST: Final = 6.0  # of their frequency
_WORDS: Final = 18  # mean per paper
_CITATIONS: Final = 2.0  # mean per paper
_SAME_TOPIC: Final = 0.8  # share of citations


def simulate(nodes: int, seed: int = 0) -> CitationGraph:
    """Make a graph of ``nodes`` papers; the same ``seed`` gives the same graph.

    20 papers of each topic are for training, 500 papers for validation and 1,000 for testing; in
    small graphs, a fifth and two fifths.

    Raises:
        InvalidInput: ``nodes`` or ``seed`` is out of range.
    """
    if not 1 <= nodes <= 100_000:
        raise InvalidInput(f"nodes is {nodes:,}; it must be 1 to 100,000")
    if seed < 0:
        raise InvalidInput(f"seed is {seed}; it must be 0 or more")
    rng = np.random.default_rng(seed)
    topics = rng.integers(0, CLASSES, nodes)
    x = _words(rng, topics)
    train, validation, test = _split(rng, topics)
    return CitationGraph(
        source=SOURCE,
        x=x,
        edge_index=_citations(rng, topics),
        classes=TOPICS,
        topics=topics,
        train=train,
        validation=validation,
        test=test,
    )


def simulate_many(count: int, seed: int = 0) -> Iterator[CitationGraph]:
    """Yield synthetic graphs of 10 to 1,500 papers, small ones more often."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        papers = int(np.exp(rng.uniform(np.log(10), np.log(1_500))))
        yield simulate(papers, seed + number)


def _words(rng: np.random.Generator, topics: NDArray[np.int64]) -> NDArray[np.float32]:
    """Draw each paper's words: 0 or 1, float32 ``[papers, FEATURES]``."""
    fixed = np.random.default_rng(_VOCABULARY_SEED)
    frequency = np.tile(1.0 / (10.0 + fixed.permutation(FEATURES)), (CLASSES, 1))
    own = fixed.permutation(FEATURES)[: CLASSES * _OWN_WORDS].reshape(CLASSES, _OWN_WORDS)
    np.put_along_axis(frequency, own, _BOOST * np.take_along_axis(frequency, own, axis=1), axis=1)
    frequency /= frequency.sum(axis=1, keepdims=True)
    # A word is present or absent, so its chance saturates.
    chance = 1.0 - np.exp(-_WORDS * frequency)
    x = (rng.random((len(topics), FEATURES), np.float32) < chance[topics]).astype(np.float32)
    # Every paper has at least one word.
    x[np.arange(len(x)), rng.integers(0, FEATURES, len(x))] = 1.0
    return x


def _citations(rng: np.random.Generator, topics: NDArray[np.int64]) -> NDArray[np.int64]:
    """Draw citations in both directions, unique and without self-citations: ``[2, edges]``."""
    nodes = len(topics)
    fame = rng.pareto(2.5, nodes) + 0.2
    count = rng.poisson(_CITATIONS * nodes)
    citing = rng.integers(0, nodes, count)
    cited = rng.choice(nodes, count, p=fame / fame.sum())
    same = rng.random(count) < _SAME_TOPIC
    for topic in np.unique(topics):
        members = np.flatnonzero(topics == topic)
        chosen = np.flatnonzero(same & (topics[citing] == topic))
        weight = fame[members] / fame[members].sum()
        cited[chosen] = rng.choice(members, len(chosen), p=weight)
    pairs = np.stack([citing, cited])[:, citing != cited]
    return np.unique(np.concatenate([pairs, pairs[::-1]], axis=1), axis=1)


def _split(
    rng: np.random.Generator, topics: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    nodes = len(topics)
    order = rng.permutation(nodes)
    each = min(20, nodes // (5 * CLASSES))
    train = np.concatenate([order[topics[order] == t][:each] for t in range(CLASSES)])
    rest = order[~np.isin(order, train)]
    validation, test = min(500, nodes // 5), min(1_000, 2 * nodes // 5)
    return np.sort(train), np.sort(rest[:validation]), np.sort(rest[validation : validation + test])
