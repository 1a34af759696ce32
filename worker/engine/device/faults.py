"""Device errors: out of memory, which smaller batches avoid, and a lost device, which ends the process.

This module does not depend on torch: `FaultRules` defines how device errors are recognised.
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
    """The device no longer works and the process must end; it may work again for a new process."""


@dataclass(frozen=True)
class FaultRules:
    """How the errors of a device are recognised, and how its memory is released."""

    is_out_of_memory: Callable[[BaseException], bool] = lambda error: isinstance(error, MemoryError)
    is_lost: Callable[[BaseException], bool] = lambda _error: False
    """Whether every later call would fail too; may try the device."""
    free_memory: Callable[[], None] = lambda: None


def attempt(rules: FaultRules, call: Callable[[], Value]) -> tuple[Value | None, Exception | None]:
    """Return the value of `call`, or its error. Raises DeviceLost.

    An error's traceback keeps the local variables of the failed call alive, and with them its tensors on the device.
    They are dropped here, outside the handler: a retry inside the handler would have less memory than the first
    attempt.
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
        raise DeviceLost(f"The device no longer works: {failure}") from failure
    return None, failure


def attempt_twice(
    rules: FaultRules, call: Callable[[], Value], *, on_out_of_memory: Callable[[], None] = lambda: None
) -> tuple[Value | None, Exception | None]:
    """Like `attempt`, for a call that cannot be split: retry once after an out-of-memory error, then give OutOfMemory.

    The call must have no side effects when it fails.
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
    """Clear the local variables of the finished calls in a traceback; its lines remain for the log."""
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        one = chain.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        chain += [one.__cause__, one.__context__]
