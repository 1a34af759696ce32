"""The files and the reference of the pipeline's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.recordings import Recording, write
from tests.engine.pipeline.cases import Told, children, run
from worker.engine.engine import Engine


@pytest.fixture(scope="module")
def mp3(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(recording.samples, tmp_path_factory.mktemp("audio") / "a.mp3", "-b:a", "48k")


@pytest.fixture(scope="module")
def stereo(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two speakers at once: the recording, and its second half before its first."""
    middle = len(recording.samples) // 2
    other = np.concatenate([recording.samples[middle:], recording.samples[:middle]])
    return write(np.stack([recording.samples, other]), tmp_path_factory.mktemp("audio") / "b.flac")


@pytest.fixture(scope="module")
def undisturbed(engine: Engine, mp3: Path) -> Told:
    return run(engine, mp3, 15)


@pytest.fixture(autouse=True)
def nothing_left_behind(engine: Engine) -> Iterator[None]:
    """After each test: no child, nothing queued."""
    before = children()
    yield
    assert children() <= before
    assert engine.stats().queued_segments == 0
