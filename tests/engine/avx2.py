"""Repeats a file of tests with the kernels that a processor with AVX2, but without VNNI, would use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
WITH_AVX2 = AVX2.items() <= os.environ.items()
"""Whether this is the process that repeats the tests."""


def output_with_avx2(file: str) -> str:
    """Run the tests of a file in a child process, which must pass; what pytest printed.

    oneDNN and torch read their variables once, when they are loaded.
    """
    command = [sys.executable, "-m", "pytest", file, "-q", "-rs", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command,
        env=os.environ | AVX2,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
