"""Known voices from the audio to the name: enrolled in one job, named in the next, with a real speaker model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common import jobs, voices
from common.jobs import Job
from tests.db.task_cases import Bench
from tests.db.test_tasks_speakers import ASKED, bench, bundle, conversation
from tests.db.voice_cases import CONSENT, source, switched_on
from tests.e2e.recordings import write
from training import speech

__all__ = ["bench", "bundle"]  # fixtures
FIRST = (
    (0, "今天的天气很好，我们去公园吧。"),
    (1, "请把会议纪要发给我。"),
    (0, "会议从九点开始，到十一点结束。"),
    (1, "他说下个星期要去上海出差。"),
)
# Other words; voice 2 is a stranger.
NEXT = (
    (2, "我们先看上个月的销售数据。"),
    (0, "这个季度的质量比去年好很多。"),
    (2, "明年的预算已经通过了。"),
    (0, "下午三点我有一个电话会议。"),
)


@pytest.fixture(scope="module")
def known(bench: Bench) -> Iterator[Bench]:
    """A worker where voices are switched on."""
    switched_on(bench.database)
    made = bench.other(voices="on")
    made.transcriber.leases.start()
    yield made
    made.transcriber.leases.end()


@pytest.fixture(scope="module")
def first(known: Bench, tmp_path_factory: pytest.TempPathFactory) -> Job:
    path = conversation(FIRST * 3, tmp_path_factory.mktemp("audio") / "first.wav")
    return ended(known, known.upload(path, options=ASKED))


@pytest.fixture(scope="module")
def voice(known: Bench, first: Job) -> voices.Voice:
    """Voice 0, which begins."""
    return voices.create(known.database, source(first, 1), name="王芳", consent=CONSENT)


def ended(worker: Bench, job: Job) -> Job:
    assert worker.run(job) == "completed"
    return worker.now(job)


def quiet_and_noisy(path: Path, to: Path) -> Path:
    """20 dB quieter, with noise 20 dB below the speech."""
    with path.open("rb") as file:
        samples = np.frombuffer(file.read()[44:], np.int16).astype(np.float32) / 32_768
    noise = speech.noise(len(samples), "pink", -43.0, np.random.default_rng(1))
    return write(speech.to_pcm(((samples + noise) * 0.1).astype(np.float32)), to)


def test_a_print_of_each_speaker_is_kept(known: Bench, first: Job) -> None:
    kept = known.execute(
        "SELECT number, model, length(embedding), speech_ms FROM voice_prints WHERE job_id = %(id)s ORDER BY number",
        id=first.id,
    )
    assert [row[:3] for row in kept] == [(n, known.transcriber.engine.speaker_model, 4 * 192) for n in (1, 2)]
    speakers = jobs.speakers(known.database, first) or ()
    for (_, _, _, speech_ms), speaker in zip(kept, speakers, strict=True):
        assert 0.6 * speaker.speech_ms < speech_ms < 1.6 * speaker.speech_ms


def test_who_was_enrolled_is_named_in_another_recording_and_a_stranger_is_not(
    known: Bench, voice: voices.Voice, tmp_path: Path
) -> None:
    plain = conversation(NEXT * 2, tmp_path / "plain.wav")
    for path in (plain, quiet_and_noisy(plain, tmp_path / "noisy.wav")):
        job = ended(known, known.upload(path, options=ASKED))
        stranger, recognised = jobs.speakers(known.database, job) or ()
        assert (recognised.name, recognised.name_source, recognised.voice_id) == ("王芳", "voice", voice.id)
        assert recognised.similarity is not None
        assert 0.8 <= recognised.similarity <= 1
        assert (stranger.name, stranger.similarity) == (None, None)
        assert known.execute("SELECT count(*) FROM speaker_windows") == [(0,)]


@pytest.mark.usefixtures("voice")
def test_nobody_is_compared_unless_job_and_installation_want_it(
    bench: Bench,
    known: Bench,
    tmp_path: Path,
) -> None:
    path = conversation(NEXT * 2, tmp_path / "next.wav")
    for worker, options in ((known, replace(ASKED, known_voices=False)), (bench, ASKED)):
        job = ended(worker, worker.upload(path, options=options))
        assert [speaker.name for speaker in jobs.speakers(known.database, job) or ()] == [None, None]
        kept = known.execute("SELECT count(*) FROM voice_prints WHERE job_id = %(id)s", id=job.id)
        assert kept == [(0,)]
