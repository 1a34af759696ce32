"""Which deliveries get a thread: no receiver, and no tenant with all of its receivers, can take them all."""

from __future__ import annotations

from common.ids import new_id
from common.webhooks import Due
from worker.light.receiver_slots import (
    PER_LANE,
    PER_TENANT,
    PER_UNTRUSTED_LANE,
    THREADS,
    UNTRUSTED_PER_TENANT,
    UNTRUSTED_THREADS,
    ReceiverSlots,
)


def due(lane: str, number: int, tenant: str = "one") -> list[Due]:
    return [Due(new_id(), lane, tenant) for _ in range(number)]


def try_once(slots: ReceiverSlots, lane: str, *, succeeded: bool | None, tenant: str = "one") -> None:
    [item] = slots.take(due(lane, 1, tenant))
    slots.give_back(item, succeeded=succeeded)


def test_a_trusted_lane_has_a_few_threads() -> None:
    slots = ReceiverSlots()
    try_once(slots, "a", succeeded=True)
    taken = slots.take(due("a", 10))
    assert len(taken) == PER_LANE
    assert slots.full() == {"a"}
    slots.give_back(taken[0], succeeded=True)
    assert slots.full() == set()
    assert len(slots.take(due("a", 10))) == 1


def test_a_new_lane_has_one_thread() -> None:
    slots = ReceiverSlots()
    assert len(slots.take(due("a", 10))) == PER_UNTRUSTED_LANE


def test_a_failing_lane_has_one_until_it_succeeds() -> None:
    slots = ReceiverSlots()
    try_once(slots, "a", succeeded=False)
    [item] = slots.take(due("a", 10))
    assert slots.full() == {"a"}
    slots.give_back(item, succeeded=True)
    assert len(slots.take(due("a", 10))) == PER_LANE


def test_one_tenants_unknown_receivers_leave_room_for_anothers() -> None:
    slots = ReceiverSlots()
    assert len(slots.take([item for n in range(300) for item in due(f"bad{n}", 1)])) == UNTRUSTED_PER_TENANT
    assert slots.full_tenants() == {"one"}
    assert len(slots.take(due("good", 1, "two"))) == 1


def test_the_untrusted_of_all_tenants_leave_half_for_the_trusted() -> None:
    slots = ReceiverSlots()
    for n in range(THREADS):
        try_once(slots, f"good{n}", succeeded=True, tenant=f"good{n // PER_TENANT}")
    bad = [item for n in range(40) for item in due(f"bad{n}", 1, f"bad{n}")]
    assert len(slots.take(bad)) == UNTRUSTED_THREADS
    good = [item for n in range(THREADS) for item in due(f"good{n}", 1, f"good{n // PER_TENANT}")]
    assert len(slots.take(good)) == THREADS - UNTRUSTED_THREADS


def test_no_tenant_has_more_than_half_of_the_threads() -> None:
    slots = ReceiverSlots()
    for n in range(THREADS):
        try_once(slots, f"lane{n}", succeeded=True)
    assert len(slots.take([item for n in range(THREADS) for item in due(f"lane{n}", 1)])) == PER_TENANT


def test_all_threads_come_back() -> None:
    slots = ReceiverSlots()
    for n in range(3):
        taken = slots.take([*due("a", 5), *due("b", 5, "two"), *due("c", 5)])
        assert taken
        for number, item in enumerate(taken):
            slots.give_back(item, succeeded=(n + number) % 2 == 0)
    assert slots.full() == slots.full_tenants() == set()


def test_nothing_tried_says_nothing_of_the_lane() -> None:
    slots = ReceiverSlots()
    try_once(slots, "a", succeeded=None)
    assert len(slots.take(due("a", 10))) == PER_UNTRUSTED_LANE
