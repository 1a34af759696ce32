"""Resuming behind any part gives the same transcript; states that do not fit are stale."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.recordings import Recording, write
from tests.engine.pipeline.cases import Told, run, same, same_parts
from training.speech import SAMPLE_RATE
from worker.engine.engine import Engine
from worker.engine.resume_state import StaleState


def test_resuming_behind_any_part_gives_the_same_transcript(engine: Engine, mp3: Path, undisturbed: Told) -> None:
    for done in range(1, len(undisturbed.parts) + 1):
        resumed = run(engine, mp3, 15, resume=replace(undisturbed.parts[done - 1], sentences=()))
        assert same_parts(resumed.everything, undisturbed.everything[done:]), f"behind part {done - 1}"
        assert resumed.progress[0][0] > undisturbed.parts[done - 1].end_ms


def test_resuming_behind_parts_that_ended_within_speech(engine: Engine, mp3: Path, undisturbed: Told) -> None:
    short = run(engine, mp3, 2)
    chosen = range(3, len(short.parts), len(short.parts) // 4)
    for number in chosen:
        resumed = run(engine, mp3, 15, resume=short.parts[number])
        before = [sentence for part in short.parts[: number + 1] for sentence in part.sentences]
        assert same(before + resumed.sentences, undisturbed.sentences)


def test_resuming_a_difficult_recording(engine: Engine, recording: Recording, tmp_path: Path) -> None:
    """It starts late, pauses, is very quiet, cancels itself out when mixed, and breaks off."""
    filters = r"volume=-50dB,pan=stereo|c0=c0|c1=-1*c0,asetpts=if(gte(T\,12)\,PTS+8/TB\,PTS)+3/TB"
    path = write(
        recording.samples[: 40 * SAMPLE_RATE], tmp_path / "a.mkv", "-af", filters, "-c:a", "flac", "-sample_fmt", "s32"
    )
    path.write_bytes(path.read_bytes()[:-2000])
    whole = run(engine, path)
    assert whole.ending is not None
    codes = {warning.code for warning in whole.ending.last.recording.warnings}
    assert codes == {"level_raised", "channels_cancel", "audio_gap", "audio_truncated"}
    plain = run(engine, write(recording.samples[: 40 * SAMPLE_RATE], tmp_path / "plain.wav"))
    assert plain.sentences[0].text[:10] in "".join(sentence.text for sentence in whole.sentences)
    starts = [word.start_ms for sentence in whole.sentences for word in sentence.words]
    words = [word for sentence in plain.sentences for word in sentence.words]
    for word, shift_ms in ((words[0], 3000), (next(word for word in words if word.start_ms > 20_000), 11_000)):
        assert min(abs(start - word.start_ms - shift_ms) for start in starts) < 60
    short = run(engine, path, 10)
    assert len(short.parts) >= 3
    for number, part in enumerate(short.parts):
        resumed = run(engine, path, 10, resume=part)
        assert same_parts(resumed.everything, short.everything[number + 1 :])


@pytest.mark.parametrize(
    "changed",
    [{"revision": "other"}, {"precision": "bf16"}, {"max_segment_ms": 20_000}, {"version": 1}, {"version": 99}],
)
def test_a_state_of_something_else_is_stale(
    engine: Engine, mp3: Path, undisturbed: Told, changed: dict[str, Any]
) -> None:
    part = undisturbed.parts[1]
    state = json.loads(part.state)
    identity = engine.state_identity
    stream = identity.unpack(base64.b64decode(state["streams"][0]))
    state["streams"] = [base64.b64encode(replace(identity, **changed).pack(stream)).decode("ascii")]
    with pytest.raises(StaleState):
        run(engine, mp3, 15, resume=replace(part, state=json.dumps(state).encode()))


@pytest.mark.parametrize(
    "state",
    [
        b"not json",
        b"[]",
        b'{"position_samples": 5}',
        b'{"position_samples": 5, "streams": ["?"]}',
        # What the version before wrote.
        b'{"state_version": 1, "revision": "r", "precision": "fp32", "max_segment_ms": 30000, "position_samples": 5,'
        b' "streams": ["UEsDBA=="]}',
    ],
)
def test_a_state_that_cannot_be_read_is_stale(engine: Engine, mp3: Path, undisturbed: Told, state: bytes) -> None:
    with pytest.raises(StaleState):
        run(engine, mp3, 15, resume=replace(undisturbed.parts[1], state=state))


def test_a_state_that_is_missing_or_of_more_channels_is_stale(
    engine: Engine, mp3: Path, stereo: Path, undisturbed: Told
) -> None:
    with pytest.raises(StaleState):
        run(engine, mp3, 15, resume=replace(undisturbed.parts[0], state=b""))
    with pytest.raises(StaleState):
        run(engine, stereo, 15, split=True, resume=undisturbed.parts[0])
