from hypothesis import given
from hypothesis import strategies as st

from naiad.bench.search import highest


async def search(limit, guess, most=10):
    tried = []

    async def passes(rate):
        tried.append(rate)
        return rate <= limit

    return await highest(passes, guess, most=most), tried


@given(limit=st.floats(10, 1e4), off=st.floats(0.25, 4))
async def test_the_highest_rate_is_found_to_five_percent(limit, off):
    found, tried = await search(limit, limit * off)
    assert found is not None
    assert found in tried
    assert 0.95 * limit <= found * (1 + 1e-9)
    assert found <= limit


async def test_where_nothing_passes_nothing_is_found_in_a_bounded_number_of_tries():
    found, tried = await search(0.0, 100.0)
    assert found is None
    assert len(tried) == 10


async def test_where_everything_passes_the_search_ends():
    found, tried = await search(float("inf"), 1.0, most=5)
    assert found == max(tried)
    assert len(tried) == 5
