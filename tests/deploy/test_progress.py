"""What a run says of the processor time of its tests."""

from __future__ import annotations

import subprocess
import sys

from tests.progress import used_seconds

BUSY_SECONDS = 0.3
BUSY = f"""
import sys, time
while time.process_time() < {BUSY_SECONDS}:
    pass
print("done", flush=True)
sys.stdin.read()
"""


def test_the_time_of_a_process_counts_while_it_runs_and_afterwards() -> None:
    before = used_seconds()
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        running = used_seconds() - before
    assert running >= BUSY_SECONDS - 0.02  # the kernel counts in ticks of 10 ms
    assert used_seconds() - before >= running - 0.02
