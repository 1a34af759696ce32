"""The recording that the end-to-end tests use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.recordings import Recording, spoken, write


@pytest.fixture(scope="session")
def long_recording(pytestconfig: pytest.Config) -> Recording:
    """More than ten minutes of sentences and a voice that the model never saw."""
    assert pytestconfig.cache is not None
    recording = spoken(112, seed=112, cache=pytestconfig.cache.mkdir("recordings"))
    assert recording.duration_ms >= 600_000
    return recording


@pytest.fixture(scope="session")
def long_mp3(long_recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a client would send it."""
    return write(long_recording.samples, tmp_path_factory.mktemp("audio") / "meeting.mp3", "-b:a", "48k")
