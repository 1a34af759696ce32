"""What NVIDIA's driver reports, and whether it suits the installed build of torch. Loads neither torch nor CUDA.

The requirements are those of docs/gpu.md: NVIDIA's CUDA compatibility guide for drivers, PyTorch's release
compatibility matrix for compute capabilities.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SMI_SECONDS = 10.0
# The oldest driver branch for each major version of CUDA.
OLDEST_DRIVER = {"12": 525, "13": 580}
# The oldest compute capability that torch's build for each major version of CUDA has kernels for.
OLDEST_CAPABILITY = {"12": 5.0, "13": 7.5}
BFLOAT16_CAPABILITY = 8.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: its name with memory, the driver's version, and its compute capability, as far as they are known."""

    name: str
    driver: str = ""
    capability: float | None = None


def gpus() -> list[Gpu]:
    """The GPUs that the driver reports; without nvidia-smi only their device files.

    Raises OSError if nvidia-smi cannot run or hangs.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return [Gpu(path.name) for path in sorted(Path("/dev").glob("nvidia[0-9]*"))]
    command = [program, "--query-gpu=name,memory.total,driver_version,compute_cap", "--format=csv,noheader"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SMI_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"nvidia-smi did not finish within {SMI_SECONDS:.0f} s; the driver may hang") from error
    if ran.returncode != 0:
        return []
    return [_gpu(line) for line in ran.stdout.splitlines() if line.strip()]


def _gpu(line: str) -> Gpu:
    name, memory, driver, capability, *_ = [*(field.strip() for field in line.split(",")), "", "", ""]
    number = re.fullmatch(r"\d+\.\d+", capability)
    return Gpu(f"{name}, {memory}", driver, float(number[0]) if number else None)


def cuda_of_torch() -> str | None:
    """The CUDA version that the installed torch was built for, such as `13.0`; None for a CPU build or no torch.

    Reads torch's version file, because importing torch takes seconds and a broken driver can crash it.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    match = re.search(r"^cuda\b[^=]*= '([\d.]+)'", Path(spec.origin).with_name("version.py").read_text("utf-8"), re.M)
    return match[1] if match else None


def problem(gpu: Gpu, cuda: str | None) -> tuple[str, str] | None:
    """Why a GPU cannot be used with a build of torch, and what to do about it; None if nothing speaks against it."""
    if cuda is None:
        return "torch is not installed, or a CPU build", "install the build for CUDA (docs/gpu.md)"
    major = cuda.partition(".")[0]
    driver = gpu.driver.partition(".")[0]
    oldest = OLDEST_DRIVER.get(major)
    if oldest is not None and driver.isdigit() and int(driver) < oldest:
        hint = "update the driver, or install torch for an older CUDA with TORCH_INDEX_URL_GPU (docs/gpu.md)"
        return f"driver {gpu.driver} is too old: torch for CUDA {cuda} needs {oldest} or newer", hint
    capability = OLDEST_CAPABILITY.get(major)
    if capability is not None and gpu.capability is not None and gpu.capability < capability:
        hint = "install torch for an older CUDA with TORCH_INDEX_URL_GPU (docs/gpu.md), or use a newer card"
        return f"{gpu.name} has compute capability {gpu.capability}, and torch for CUDA {cuda} needs {capability}", hint
    return None
