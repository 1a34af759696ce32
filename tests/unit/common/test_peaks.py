"""The peaks of a recording: exact, bounded, and the same however the samples come."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from common.transcript.peaks import FIRST_SAMPLES, MOST, RATE, Meter, Peaks


def metered(samples: bytes, sizes: list[int] | None = None) -> Peaks:
    meter = Meter()
    place = 0
    for size in sizes or [len(samples)]:
        meter.take(samples[place : place + size])
        place += size
    meter.take(samples[place:])
    return meter.done()


@given(st.binary(max_size=2000), st.lists(st.integers(0, 300), max_size=10))
def test_each_stretch_has_its_lowest_and_its_highest_sample(samples: bytes, sizes: list[int]) -> None:
    peaks = metered(samples, sizes)
    stretches = [samples[start : start + FIRST_SAMPLES] for start in range(0, len(samples), FIRST_SAMPLES)]
    assert peaks.low == bytes(map(min, stretches))
    assert peaks.high == bytes(map(max, stretches))
    assert peaks.samples == len(samples)
    assert Peaks.load(peaks.dump()) == peaks


def test_a_long_recording_takes_no_more_room_than_a_short_one() -> None:
    samples = random.Random(1).randbytes(FIRST_SAMPLES * MOST * 5 + 17)
    samples = samples[:1000] + b"\x00\xff" + samples[1002:]
    peaks = metered(samples, [70_001] * 40)
    width = peaks.stretch_samples
    assert width == FIRST_SAMPLES * 8
    assert MOST // 2 <= len(peaks.low) <= MOST
    stretches = [samples[start : start + width] for start in range(0, len(samples), width)]
    assert peaks.low == bytes(map(min, stretches))
    assert peaks.high == bytes(map(max, stretches))
    assert peaks.duration_ms == len(samples) * 1000 // RATE


def test_what_is_drawn_keeps_every_extreme() -> None:
    samples = bytearray(b"\x80" * FIRST_SAMPLES * 1000)
    samples[FIRST_SAMPLES * 333] = 255
    samples[FIRST_SAMPLES * 777] = 0
    peaks = metered(bytes(samples))
    for most in (1, 7, 100, 999, 1000, 5000):
        width, data = peaks.drawn(most)
        assert len(data) // 2 <= most
        assert len(data) // 2 * width >= len(samples)
        assert (min(data), max(data)) == (-128, 127)
        if most >= 7:
            assert data[1::2].index(127) == FIRST_SAMPLES * 333 // width
            assert data[0::2].index(-128) == FIRST_SAMPLES * 777 // width


def test_nothing_is_drawn_of_nothing() -> None:
    assert metered(b"").drawn(100) == (FIRST_SAMPLES, [])
