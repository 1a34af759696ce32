"""The load test of a misbehaving tenant: a round in which nothing was measured is no result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.misbehave.good import Samples
from bench.misbehave.rounds import NothingMeasured, Round, check_measured

FULL = Round("all", Samples([5.0], [2.0, 3.0], [200.0]), {"API": 0.1}, {"link 202": 3})


def test_a_round_with_measurements_is_a_result() -> None:
    check_measured(FULL, ["links"])
    check_measured(replace(FULL, samples=replace(FULL.samples, wrong=[])), [])
    check_measured(replace(FULL, samples=Samples([5.0, 6.0], [2.0], [200.0], ["submit: 429"])), [])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (replace(FULL, samples=Samples()), "no submit, no poll, no clip to text"),
        (replace(FULL, samples=Samples([5.0], [], [], ["submit: 503"])), "no clip to text"),
        (replace(FULL, samples=Samples([5.0], [2.0], [60_000.0], ["clip: queued"])), "no clip became text"),
        (replace(FULL, answers={}), "got no answer"),
    ],
)
def test_a_round_with_nothing_to_compare_fails(made: Round, message: str) -> None:
    with pytest.raises(NothingMeasured, match=message):
        check_measured(made, ["links"])
