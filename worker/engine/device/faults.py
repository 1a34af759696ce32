"""Errors of a device: out of memory, which smaller batches avoid, and a lost device, which ends the process.

This module knows no torch: `FaultRules` says how the errors of a device are recognised.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from common.errors import OutOfMemory, ParaqueueError, Unavailable

Value = TypeVar("Value")

TRIES = 2
"""How often a call is made that runs out of memory and cannot be divided."""


class DeviceLost(Unavailable):
    """The device does not work any more, and the process has to end: another process may find it in order."""


@dataclass(frozen=True)
class FaultRules:
    """How the errors of a device are recognised, and what gives memory back to it."""

    is_out_of_memory: Callable[[BaseException], bool] = lambda error: isinstance(error, MemoryError)
    is_lost: Callable[[BaseException], bool] = lambda _error: False
    """Whether every later call would fail too; may try the device."""
    free_memory: Callable[[], None] = lambda: None


def attempt(rules: FaultRules, call: Callable[[], Value]) -> tuple[Value | None, Exception | None]:
    """What `call` returned, or its error. Raises DeviceLost.

    An error's traceback keeps the local variables of the failed call alive, and so its tensors on the device. They are
    dropped here, after the handler was left: a retry inside the handler would have less memory than the first try.
    """
    try:
        return call(), None
    except Exception as error:
        failure = error
    _release_frames(failure)
    if rules.is_out_of_memory(failure):
        rules.free_memory()
    elif isinstance(failure, DeviceLost):
        raise failure
    elif not isinstance(failure, ParaqueueError) and rules.is_lost(failure):
        raise DeviceLost(f"The device does not work any more: {failure}") from failure
    return None, failure


def attempt_twice(
    rules: FaultRules, call: Callable[[], Value], *, on_out_of_memory: Callable[[], None] = lambda: None
) -> tuple[Value | None, Exception | None]:
    """As `attempt`, for a call that cannot be divided: once more after an out-of-memory, then OutOfMemory.

    The call must not have changed anything when it fails.
    """
    for _ in range(TRIES):
        value, failure = attempt(rules, call)
        if failure is None or not rules.is_out_of_memory(failure):
            return value, failure
        on_out_of_memory()
    error = OutOfMemory("The device has no memory left even for a single segment.")
    error.__cause__ = failure
    return None, error


def _release_frames(error: BaseException) -> None:
    """Clear the local variables of the finished calls in a traceback; its lines stay, for the log."""
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        one = chain.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        chain += [one.__cause__, one.__context__]
