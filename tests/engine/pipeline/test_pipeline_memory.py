"""Memory does not grow with the audio."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dev.stack import REPOSITORY
from tests.e2e.recordings import Recording, write

PEAK = """
import sys
from pathlib import Path
from tests.engine.pipeline.cases import run
from dev.stack import REPOSITORY
from worker.engine.bundles.bundles import from_directory
from worker.engine.engine import Engine
engine = Engine.load(from_directory(REPOSITORY / "models" / "demo-zh"), "cpu", threads=1)
log = run(engine, Path(sys.argv[1]), 300)
print("sentences", len(log.sentences), Path("/proc/self/status").read_text())
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_audio(recording: Recording, tmp_path: Path) -> None:
    peaks: dict[int, int] = {}
    for minutes in (10, 60):
        times = round(minutes * 60_000 / recording.duration_ms)
        path = write(np.tile(recording.samples, times), tmp_path / f"{minutes}.wav")
        command = [sys.executable, "-c", PEAK, str(path)]
        output = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
        match = re.search(r"sentences (\d+)[\s\S]*VmHWM:\s+(\d+) kB", output)
        assert match is not None
        assert int(match[1]) > minutes
        peaks[minutes] = int(match[2]) // 1024
    print(f"peak memory: {peaks[10]} MiB for 10 minutes, {peaks[60]} MiB for 60 minutes")
    assert peaks[60] - peaks[10] < 100
