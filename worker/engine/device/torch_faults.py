"""How torch reports device errors."""

from __future__ import annotations

from collections.abc import Callable

import torch

from worker.engine.device.faults import FaultRules

_OUT_OF_MEMORY_TEXTS = (
    "can't allocate memory",  # torch's allocator on a CPU raises a plain RuntimeError
    "cuda error: out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)


def torch_fault_rules(device: torch.device, probe: Callable[[], object] | None = None) -> FaultRules:
    """The rules for a device. `probe` uses the device and raises if that fails; None means a small sum on it."""
    if device.type == "cpu":
        return FaultRules(is_out_of_memory=is_out_of_memory)
    use = probe or (lambda: _use(device))
    return FaultRules(is_out_of_memory, lambda _error: not _works(use), torch.cuda.empty_cache)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or numpy failed to allocate memory, on the device or on the host."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in text for part in _OUT_OF_MEMORY_TEXTS)


def _works(use: Callable[[], object]) -> bool:
    """Whether the device still works. A CUDA error such as an illegal address is sticky: all later calls fail as well.

    Which errors are sticky is not fully documented, so this tries the device.
    """
    try:
        use()
    except Exception as error:
        return is_out_of_memory(error)
    return True


def _use(device: torch.device) -> None:
    torch.cuda.synchronize(device)
    if torch.ones(8, device=device).sum().item() != 8:
        raise RuntimeError("the device computed a wrong sum")
