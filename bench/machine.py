"""Describes this machine, for the conditions of a benchmark."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def version(package: str) -> str:
    """The installed version of a package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cpu_information() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def processor() -> str:
    """The processor's model name."""
    match = re.search(r"^model name\s*:\s*(.+)$", _cpu_information(), re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def cpu_flags() -> list[str]:
    """The CPU flags that matter for matrix products."""
    match = re.search(r"^flags\s*:\s*(.+)$", _cpu_information(), re.MULTILINE)
    flags = set(match[1].split()) if match else set()
    return [flag for flag in CPU_FLAGS if flag in flags]


def gpu() -> str:
    """Name, memory and driver of the GPUs, or "none"."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "none"


def revision() -> str:
    """The measured commit, marked if files differ from it; "unknown" outside a checkout."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
