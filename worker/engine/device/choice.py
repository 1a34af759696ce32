"""Which device an engine runs on."""

from __future__ import annotations

import torch

from common.errors import ConfigurationError


def chosen_device(name: str) -> torch.device:
    """The device of a name: `cpu`, `cuda:0`, …, or `auto`: the first GPU, else the CPU.

    Raises ConfigurationError for a device that does not exist or is neither a CPU nor CUDA.
    """
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(f"There is no device {name!r}.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(f"The device {name!r} is configured, but torch sees {torch.cuda.device_count()} GPUs.")
    if device.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"The device {name!r} is neither cpu nor cuda.")
    return device


def keep_float32_exact() -> None:
    """Compute float32 products on a GPU in float32, for the whole process.

    cuDNN would compute convolutions and LSTMs in TF32, with 10 bits of mantissa: enough to move tokens.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
