"""Which deliveries get a thread: no lane, and no failing lanes together, can take them all."""

from __future__ import annotations

from common.ids import new_id
from common.webhooks import Due
from worker.light.deliverer import FAILING_THREADS, PER_LANE, THREADS, ReceiverSlots


def due(lane: str, number: int) -> list[Due]:
    return [Due(new_id(), lane) for _ in range(number)]


def test_a_lane_has_a_few_threads() -> None:
    lanes = ReceiverSlots()
    assert len(lanes.take(due("a", 10))) == PER_LANE
    assert lanes.full() == {"a"}
    lanes.give_back("a", succeeded=True)
    assert lanes.full() == set()
    assert len(lanes.take(due("a", 10))) == 1


def test_a_failing_lane_has_one_until_it_succeeds() -> None:
    lanes = ReceiverSlots()
    lanes.take(due("a", 1))
    lanes.give_back("a", succeeded=False)
    assert len(lanes.take(due("a", 10))) == 1
    assert lanes.full() == {"a"}
    lanes.give_back("a", succeeded=True)
    assert len(lanes.take(due("a", 10))) == PER_LANE


def test_failing_lanes_leave_half_of_the_threads() -> None:
    lanes = ReceiverSlots()
    failing = [f"bad{number}" for number in range(THREADS)]
    for lane in failing:
        assert len(lanes.take(due(lane, 1))) == 1
        lanes.give_back(lane, succeeded=False)
    taken = lanes.take([item for lane in failing for item in due(lane, 3)])
    assert len(taken) == FAILING_THREADS
    assert lanes.full() >= set(failing)
    assert len(lanes.take([item for number in range(THREADS) for item in due(f"good{number}", 1)])) == (
        THREADS - FAILING_THREADS
    )


def test_nothing_tried_says_nothing_of_the_lane() -> None:
    lanes = ReceiverSlots()
    lanes.take(due("a", 1))
    lanes.give_back("a", succeeded=None)
    assert len(lanes.take(due("a", 10))) == PER_LANE
