"""Two hours need no more memory than ten minutes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dev.postgres import Postgres
from tests.e2e.recordings import Recording, write
from tests.e2e.service import fresh_service, peak_mebibytes

ALLOWED_MEBIBYTES = 200


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_does_not_grow_with_the_audio(postgres: Postgres, long_recording: Recording, tmp_path: Path) -> None:
    """The same worker, first with ten minutes: additional memory after that is due to the length."""
    ten = long_recording.samples[: 600 * 16_000]
    peaks: dict[int, int] = {}
    with fresh_service(postgres, tmp_path, part_seconds=300.0) as service:
        for minutes in (10, 120):
            path = write(np.tile(ten, minutes // 10), tmp_path / f"{minutes}.mp3", "-b:a", "48k")
            job_id = service.upload(path)
            job = service.finished(job_id, seconds=3000)
            assert abs(job["audio_ms"] - minutes * 60_000) < 500
            sentences = service.sentences(job_id)
            assert len(sentences) > 3 * minutes
            assert sentences[-1]["end_ms"] > (minutes - 1) * 60_000
            peaks[minutes] = peak_mebibytes(service.children["worker"])
            print(f"{minutes} minutes: the worker's peak is {peaks[minutes]} MiB, RTF {job['result']['rtf']}")
    assert peaks[120] - peaks[10] <= ALLOWED_MEBIBYTES
