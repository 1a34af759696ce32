"""A batch on several threads."""

from __future__ import annotations

import threading

import pytest
import torch

from worker.engine.recognition.compute_threads import ComputeThreads, divide


def test_results_come_in_the_order_of_the_items() -> None:
    threads = ComputeThreads(3)
    try:
        sizes = [5, 1, 9, 2, 2, 7, 4]
        assert threads.run(lambda items: [item * 10 for item in items], sizes, float) == [10 * size for size in sizes]
        assert threads.run(lambda items: items, [], float) == []
    finally:
        threads.close()


def test_each_lane_has_one_thread_of_torch_and_the_others_keep_theirs() -> None:
    before = torch.get_num_threads()
    threads = ComputeThreads(2)
    try:
        together = threading.Barrier(2)

        def look(items: list[int]) -> list[tuple[str, int]]:
            together.wait(30)
            return [(threading.current_thread().name, torch.get_num_threads()) for _ in items]

        seen = threads.run(look, [1, 1], float)
        assert len({name for name, _ in seen}) == 2 and {threads for _, threads in seen} == {1}
        assert torch.get_num_threads() == before
        names = threads.run(lambda items: [threading.current_thread().name for _ in items], [1], float)
        assert names == [threading.current_thread().name]
    finally:
        threads.close()


def test_an_error_of_one_lane_is_raised() -> None:
    def fail_on_two(items: list[int]) -> list[int]:
        if 2 in items:
            raise ValueError("two")
        return items

    threads = ComputeThreads(2)
    try:
        with pytest.raises(ValueError, match="two"):
            threads.run(fail_on_two, [1, 2, 3], float)
        assert threads.run(fail_on_two, [1, 3], float) == [1, 3]
    finally:
        threads.close()


def test_shares_are_about_equal() -> None:
    sizes = [30.0, 2.0, 9.0, 8.0, 4.0, 11.0, 3.0]
    shares = divide(sizes, 2)
    assert sorted(index for share in shares for index in share) == list(range(7))
    totals = [sum(sizes[i] for i in share) for share in shares]
    assert abs(totals[0] - totals[1]) <= 5
    assert divide([1.0], 4) == [[0]] and divide([], 2) == []
