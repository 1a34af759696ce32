"""How many operations networks give to the device for a batch, and how long the device's kernels take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.utils._python_dispatch import TorchDispatchMode

from worker.engine.recognition.gpu import attention, kernels

_NO_LAUNCH = ("aten::detach", "aten::empty", "aten::empty_strided", "aten::lift_fresh", "aten::_local_scalar_dense")


class Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts torch's operations other than views: on a GPU each of them is at least one launch."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0
        self._as_one = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one operation and run it; what consists of others is taken apart first."""
        schema = func._schema
        if schema.name == "aten::lstm":  # one call of cuDNN
            with self.one():
                return func(*args, **(kwargs or {}))
        with self:  # inference mode leaves that to us
            parts = func.decompose(*args, **(kwargs or {}))
        if parts is not NotImplemented:
            return parts
        view = any(one.alias_info is not None and not one.alias_info.is_write for one in schema.returns)
        if not (view or self._as_one or schema.name in _NO_LAUNCH):
            self.count += 1
        return func(*args, **(kwargs or {}))

    @contextmanager
    def one(self) -> Iterator[None]:
        """Whatever happens inside counts as one launch."""
        self.count += 1 if not self._as_one else 0
        self._as_one += 1
        try:
            yield
        finally:
            self._as_one -= 1


def launches(call: Callable[[], object]) -> int:
    """Launches of a call on a GPU, counted on a CPU.

    The kernels and the attention over packed rows, which run there as several operations, count as the one launch
    that they are on a GPU.
    """
    counted = Launches()
    with counted:
        fused: list[tuple[Any, str]] = [
            (kernels.TorchKernels, "normalise"),
            (kernels.TorchKernels, "remember"),
            (attention.GroupedAttention, "__call__"),
        ]
        originals = [(owner, name, getattr(owner, name)) for owner, name in fused]
        try:
            for owner, name, original in originals:
                setattr(owner, name, _as_one(counted, original))
            call()
        finally:
            for owner, name, original in originals:
                setattr(owner, name, original)
    return counted.count


def _as_one(counted: Launches, original: Callable[..., Any]) -> Callable[..., Any]:
    def counted_call(*arguments: Any) -> Any:
        with counted.one():
            return original(*arguments)

    return counted_call


def device_profile(call: Callable[[], object], top: int = 12) -> tuple[int, float, list[tuple[str, int, float]]]:
    """Kernels that a call ran on a GPU: their number, their seconds, and the longest as (name, number, seconds)."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        call()
        torch.cuda.synchronize()
    cuda = DeviceType.CUDA
    ran = [one for one in profile.key_averages() if one.device_type == cuda]
    ran.sort(key=lambda one: -one.self_device_time_total)
    kernels_run = [(one.key, one.count, one.self_device_time_total / 1e6) for one in ran]
    return sum(one[1] for one in kernels_run), sum(one[2] for one in kernels_run), kernels_run[:top]
