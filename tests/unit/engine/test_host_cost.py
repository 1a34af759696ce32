"""What a word costs in Python."""

from worker.engine.host_cost import host_seconds_per_word


def test_a_word_costs_at_most_a_hundred_microseconds() -> None:
    """The bar is 20 us on a free machine; the slowest shared one must not fail this."""
    assert 0 < host_seconds_per_word(segments=100) < 100e-6
