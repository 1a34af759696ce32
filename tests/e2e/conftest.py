"""The recording that the end-to-end tests use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.installed import install, make_wheelhouse
from tests.e2e.recordings import Recording, spoken


@pytest.fixture(scope="session")
def long_recording() -> Recording:
    """More than ten minutes of sentences and a voice that the model never saw."""
    recording = spoken(112, seed=112)
    assert recording.duration_ms >= 600_000
    return recording


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's wheel, and those of all that it needs."""
    return make_wheelhouse(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def installed(wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment with the client in it, and nothing else of ours."""
    return install(wheelhouse, tmp_path_factory.mktemp("environment"))
