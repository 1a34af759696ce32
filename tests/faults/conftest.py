"""A service that can be broken, and what an undisturbed run says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dev.postgres import Postgres
from tests.e2e.recordings import spoken, write
from tests.e2e.service import SHORT_LEASES, Answer, Service, fresh_service, without_confidence


@dataclass(frozen=True)
class Undisturbed:
    """A file, and its transcript when nothing breaks."""

    audio: Path
    sentences: list[Answer]


@pytest.fixture(scope="package")
def service(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One process of each kind, and leases of three seconds."""
    with fresh_service(postgres, tmp_path_factory.mktemp("service"), **SHORT_LEASES) as service:
        yield service


@pytest.fixture(scope="package")
def undisturbed(service: Service, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """More than ten minutes, in more than ten parts."""
    assert pytestconfig.cache is not None
    recording = spoken(112, seed=112, cache=pytestconfig.cache.mkdir("recordings"))
    audio = write(recording.samples, tmp_path_factory.mktemp("audio") / "meeting.mp3", "-b:a", "48k")
    job_id = service.upload(audio)
    service.finished(job_id)
    sentences = without_confidence(service.sentences(job_id))
    assert len(sentences) > 20
    return Undisturbed(audio, sentences)
