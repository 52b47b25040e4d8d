import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.core.budget import Budget
from naiad.runtime.memory_backoff import MemoryBackoff, ran_out_of_memory


def test_out_of_memory_halves_the_limit():
    backoff = MemoryBackoff(Budget(nodes=100))
    backoff.ran_out({"nodes": 80, "edges": 300, "requests": 1})
    assert dict(backoff.budget) == {"nodes": 40, "edges": 150}
    backoff.ran_out({"nodes": 40, "edges": 100})
    assert dict(backoff.budget) == {"nodes": 20, "edges": 50}


def test_it_recovers_slowly_to_the_declared_limit():
    backoff = MemoryBackoff(Budget(nodes=100))
    backoff.ran_out({"nodes": 80, "edges": 300})
    sizes = []
    while backoff.budget != Budget(nodes=100):
        backoff.ran()
        sizes.append(backoff.budget["nodes"])
    assert sizes == sorted(sizes)
    assert 50 <= len(sizes) <= 100
    assert dict(backoff.budget) == {"nodes": 100}


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["nodes", "edges", "requests"]), st.integers(0, 10**9)),
        max_size=20,
    )
)
def test_it_is_never_more_than_declared_and_never_nothing(failures):
    backoff = MemoryBackoff(Budget(nodes=50))
    for totals in failures:
        backoff.ran_out(totals)
        backoff.ran()
        assert backoff.budget["nodes"] <= 50
        assert all(size >= 1 for size in backoff.budget.values())


class OutOfMemoryError(RuntimeError):
    """An error named like torch's."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("CUDA"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert ran_out_of_memory(error) == expected


def test_the_error_that_torch_raises_counts():
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert ran_out_of_memory(caught.value)
