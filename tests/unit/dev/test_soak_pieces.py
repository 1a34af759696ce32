"""A soak that is run in pieces: what comes next, and what all pieces say together."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults import measures, pieces
from tests.faults.catalogue import FAULTS
from tests.faults.pieces import Audio, Piece, Row
from tests.faults.soak import STORAGES, Plan

NOTHING_WRONG = dict.fromkeys(pieces.NOTHING, 0)


def plan(rounds: int, before: list[Piece], seconds: float | None = None) -> Plan:
    return Plan(seed=7, rounds=rounds, seconds=seconds, outage_seconds=1.0, in_flight=1, add=True, before=before)


def piece(rows: list[Row], **counts: int) -> Piece:
    where = {"measured": "then", "revision": "r", "processor": "p", "seed": 1, "minutes": 2.0, "load before": 0.5}
    return Piece(where, rows, {"jobs": len(rows), **NOTHING_WRONG, **counts}, Audio(100.0, 5.0, 3, 1))


@pytest.mark.parametrize("rounds", [1, 2, 5, 20])
def test_each_fault_comes_as_often_as_planned(rounds: int) -> None:
    order = {storage: [fault.name for fault in plan(rounds, []).of(storage)] for storage in STORAGES}
    assert Counter(order["disk"] + order["s3"]) == {fault.name: rounds for fault in FAULTS}
    first = order["disk"][: len(set(order["disk"]))]
    assert len(set(first)) == len(first), "none is repeated before each came once"
    assert order["disk"] == [fault.name for fault in plan(rounds, []).of("disk")], "the seed decides"


def test_a_further_piece_begins_with_what_came_most_seldom() -> None:
    shared = [fault.name for fault in FAULTS if fault.storage == "any"]
    often = piece([Row(name, "disk") for name in shared[1:] * 2])
    order = [fault.name for fault in plan(6, [often]).of("disk")]
    assert order.index(shared[0]) < min(order.index(name) for name in shared[1:])
    assert Counter(order)[shared[0]] == 3
    assert Counter(order)[shared[1]] == 1
    assert plan(6, [often]).must_come("disk") == set()
    assert plan(6, []).must_come("s3") == {fault.name for fault in FAULTS if fault.storage == "s3"}


def test_pieces_are_kept_and_added_up(tmp_path: Path) -> None:
    name = FAULTS[0].name
    first = piece([Row(name, "disk", 9.0, 1.0, [2.0]), Row(name, "s3", 9.0, 5.0, [3.0])])
    second = piece([Row(name, "disk", 9.0, 3.0, complaint="AssertionError: nothing struck")], lost=1, complaints=1)
    assert pieces.add(first, tmp_path / "pieces.json") == [first]
    kept = pieces.add(second, tmp_path / "pieces.json")
    assert kept == pieces.load(tmp_path / "pieces.json") == [first, second]
    assert pieces.caused(kept) == {(name, "disk"): 2, (name, "s3"): 1}
    figures = {key: bar.value for key, bar in measures.report(kept).bars.items()}
    assert (figures["jobs"], figures["lost"], figures["complaints"], figures["faults"]) == (3, 1, 1, 2)
    assert (figures["recovery_p50_s"], figures["audio_s"], figures["audio_twice_share"]) == (3.0, 200.0, 0.05)
    assert pieces.load(tmp_path / "none.json") == []


def test_runs_that_end_at_the_same_time_lose_no_piece(tmp_path: Path) -> None:
    made = [piece([Row(FAULTS[number % len(FAULTS)].name, "disk", float(number))]) for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: pieces.add(one, tmp_path / "pieces.json"), made))
    kept = pieces.load(tmp_path / "pieces.json")
    assert sorted(one.rows[0].seconds for one in kept) == [float(number) for number in range(24)]
    assert [path.name for path in tmp_path.iterdir()] == ["pieces.json"]
