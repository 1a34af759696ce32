"""Audio → parts of sentences, with the real engine: parts, resuming, stopping, progress, memory."""

from __future__ import annotations

import base64
import itertools
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import AudioNotDecodable
from common.transcript.values import Part, Sentence
from dev.stack import REPOSITORY
from tests.e2e.recordings import Recording, write
from tests.engine.odd_decoder import SECONDS
from tests.waiting import until
from training.speech import SAMPLE_RATE, noise, to_pcm
from worker.engine.audio import DecodeLimits
from worker.engine.decoding.forking import ForkServer
from worker.engine.engine import Engine
from worker.engine.resume_state import StaleState
from worker.transcription.pipeline import (
    BLOCK_SAMPLES,
    LONGEST_PART,
    Hooks,
    PipelineResult,
    Request,
    transcribe,
)
from worker.transcription.stop import Stopped, StopReason, StopSignal

LIMITS = DecodeLimits(max_duration_ms=None, cpu_seconds=600, memory_bytes=2**31, idle_timeout_seconds=30)
WHOLE = 1e6  # seconds: longer than any audio here
BLOCK_MS = BLOCK_SAMPLES * 1000 // SAMPLE_RATE


@dataclass
class Told:
    """What a run handed over."""

    parts: list[Part] = field(default_factory=list)
    progress: list[tuple[int, int | None]] = field(default_factory=list)
    ending: PipelineResult | None = None

    @property
    def everything(self) -> list[Part]:
        """The parts with the last one."""
        assert self.ending is not None
        return [*self.parts, self.ending.last]

    @property
    def sentences(self) -> list[Sentence]:
        """All sentences in the order of the parts."""
        return [sentence for part in self.everything for sentence in part.sentences]


def run(
    engine: Engine,
    path: Path,
    part_seconds: float = WHOLE,
    *,
    split: bool = False,
    resume: Part | None = None,
    signal: StopSignal | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    log: Told | None = None,
) -> Told:
    log = log or Told()

    def progress(done: int, total: int | None) -> None:
        log.progress.append((done, total))
        if on_progress:
            on_progress(done, total)

    hooks = Hooks(log.parts.append, progress, signal or StopSignal())
    request = Request("job", path, LIMITS, part_seconds, resume, channels="split" if split else "mix")
    log.ending = transcribe(engine, request, hooks)
    return log


def same(got: list[Sentence], wanted: list[Sentence]) -> bool:
    """Whether two transcripts are the same to the letter and to the millisecond.

    Confidence is a floating-point number out of batches of different shapes: it is the same but for rounding.
    """
    exact = [[replace(item, confidence=0, words=()) for item in items] for items in (got, wanted)]
    words = [[word for item in items for word in item.words] for items in (got, wanted)]
    placed = [[replace(word, confidence=0) for word in each] for each in words]
    sure = [
        np.array([item.confidence for item in items] + [word.confidence for word in each])
        for items, each in zip((got, wanted), words, strict=True)
    ]
    return exact[0] == exact[1] and placed[0] == placed[1] and bool(np.all(np.abs(sure[0] - sure[1]) < 1e-4))


def same_parts(got: list[Part], wanted: list[Part]) -> bool:
    """Whether the same sentences were committed at the same places."""
    places = [
        [(part.number, part.start_ms, part.end_ms, len(part.sentences), part.last) for part in parts]
        for parts in (got, wanted)
    ]
    sentences = [[sentence for part in parts for sentence in part.sentences] for parts in (got, wanted)]
    return places[0] == places[1] and same(*sentences)


def children() -> set[int]:
    """Processes that this one, any thread of it, started and that have not ended."""
    return children_of("self")


def children_of(process: int | str) -> set[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


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


def test_parts_cover_the_audio_without_gaps(undisturbed: Told, recording: Recording) -> None:
    parts = undisturbed.everything
    assert len(parts) >= 5
    assert [part.number for part in parts] == list(range(len(parts)))
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [part.start_ms for part in parts] == [0, *(part.end_ms for part in parts[:-1])]
    assert undisturbed.ending is not None
    assert parts[-1].end_ms == undisturbed.ending.audio_ms
    assert abs(undisturbed.ending.audio_ms - recording.duration_ms) < 100
    for part in parts[:-1]:
        assert 15_000 <= part.end_ms - part.start_ms <= 15_000 * LONGEST_PART + BLOCK_MS
        assert part.state


def test_sentences_are_in_order_and_inside_the_audio(undisturbed: Told) -> None:
    sentences = undisturbed.sentences
    assert len(sentences) >= 5
    words = [word for sentence in sentences for word in sentence.words]
    edges = [edge for word in words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert undisturbed.ending is not None
    assert edges[-1] <= undisturbed.ending.audio_ms
    assert len({word.start_ms for word in words}) > len(words) * 0.9
    following = [sentence.start_ms for sentence in sentences[1:]] + [undisturbed.ending.audio_ms]
    for sentence, next_start_ms in zip(sentences, following, strict=True):
        assert sentence.start_ms == sentence.words[0].start_ms
        # A sentence ends with its last word or, where it closes a speech segment, with the speech.
        assert sentence.words[-1].end_ms <= sentence.end_ms <= next_start_ms
        assert 0 < sentence.confidence <= 1
        assert sentence.text.strip()


@pytest.mark.parametrize("part_seconds", [WHOLE, 40, 2])
def test_the_text_does_not_depend_on_the_parts(
    engine: Engine, mp3: Path, undisturbed: Told, part_seconds: float
) -> None:
    """At two seconds parts also end within words: no pause is as frequent."""
    log = run(engine, mp3, part_seconds)
    assert same(log.sentences, undisturbed.sentences)
    assert (len(log.parts) == 0) == (part_seconds == WHOLE)
    if part_seconds == 2:
        spoken = [(sentence.start_ms, sentence.end_ms) for sentence in log.sentences]
        assert any(start < part.end_ms < end for part in log.parts for start, end in spoken)


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


def test_each_channel_is_read_for_itself(engine: Engine, stereo: Path, recording: Recording, tmp_path: Path) -> None:
    both = run(engine, stereo, 14, split=True)
    assert both.ending is not None
    assert both.ending.channels == 2
    alone = run(engine, write(recording.samples, tmp_path / "left.flac"))
    left = [sentence for sentence in both.sentences if sentence.channel == 0]
    right = [sentence for sentence in both.sentences if sentence.channel == 1]
    assert same(left, alone.sentences)
    assert right
    assert [sentence.text for sentence in right] != [sentence.text for sentence in left]
    for part in both.everything:
        assert [item.start_ms for item in part.sentences] == sorted(item.start_ms for item in part.sentences)


def test_two_channels_resume_too(engine: Engine, stereo: Path) -> None:
    both = run(engine, stereo, 14, split=True)
    assert len(both.parts) >= 2
    for done in range(1, len(both.parts) + 1):
        resumed = run(engine, stereo, 14, split=True, resume=both.parts[done - 1])
        assert same_parts(resumed.everything, both.everything[done:])


def test_two_channels_are_mixed_unless_split(engine: Engine, stereo: Path) -> None:
    mixed = run(engine, stereo)
    assert mixed.ending is not None
    assert mixed.ending.channels == 1
    assert {sentence.channel for sentence in mixed.sentences} == {0}


def test_progress_goes_up_and_stays_within_what_is_declared(undisturbed: Told) -> None:
    done = [item[0] for item in undisturbed.progress]
    assert done == sorted(set(done))
    assert len(done) > 20
    assert max(b - a for a, b in itertools.pairwise(done)) <= BLOCK_MS
    declared = {item[1] for item in undisturbed.progress}
    assert len(declared) == 1
    (total,) = declared
    assert total is not None
    assert undisturbed.ending is not None
    assert abs(total - undisturbed.ending.audio_ms) < 100


def test_progress_knows_no_total_where_the_file_declares_none(
    engine: Engine, recording: Recording, tmp_path: Path
) -> None:
    log = run(engine, write(recording.samples[: 20 * SAMPLE_RATE], tmp_path / "a.aac", "-f", "adts"))
    assert {total for _, total in log.progress} == {None}


def test_a_shutdown_commits_what_there_is_and_can_be_resumed(engine: Engine, mp3: Path, undisturbed: Told) -> None:
    signal, log = StopSignal(), Told()

    def stop(done: int, _: int | None) -> None:
        if done > 50_000:
            signal.request(StopReason.SHUTDOWN)

    with pytest.raises(Stopped) as stopped:
        run(engine, mp3, WHOLE, signal=signal, on_progress=stop, log=log)
    assert stopped.value.reason is StopReason.SHUTDOWN
    assert len(log.parts) == 1
    assert 50_000 < log.parts[0].end_ms < 50_000 + 2 * BLOCK_MS
    resumed = run(engine, mp3, WHOLE, resume=log.parts[0])
    assert same([*log.parts[0].sentences, *resumed.sentences], undisturbed.sentences)


def test_a_shutdown_before_anything_new_commits_nothing(engine: Engine, mp3: Path, undisturbed: Told) -> None:
    signal, log = StopSignal(), Told()
    signal.request(StopReason.SHUTDOWN)
    with pytest.raises(Stopped):
        run(engine, mp3, 15, resume=undisturbed.parts[2], signal=signal, log=log)
    assert log.parts == []
    assert log.progress == []


@pytest.mark.parametrize("reason", list(StopReason))
@pytest.mark.parametrize("what", ["alive", "sleep"])
def test_a_file_that_gives_no_sound_can_be_stopped(
    engine: Engine, odd: ForkServer, tmp_path: Path, what: str, reason: StopReason
) -> None:
    path, signal = tmp_path / "odd", StopSignal()
    path.write_text(what)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, engine, path, signal=signal)
        until(lambda: odd.pid is not None and children_of(odd.pid))
        signal.request(reason)
        with pytest.raises(Stopped) as stopped:
            running.result(120)
    assert stopped.value.reason is reason


def test_a_shutdown_commits_what_there_is_though_no_more_sound_comes(
    engine: Engine, odd: ForkServer, tmp_path: Path
) -> None:
    path, signal, log = tmp_path / "odd", StopSignal(), Told()
    path.write_text("sound, then nothing")
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, engine, path, signal=signal, log=log)
        until(lambda: log.progress and log.progress[-1][0] == SECONDS * 1000)
        assert odd.pid is not None
        assert children_of(odd.pid)
        signal.request(StopReason.SHUTDOWN)
        with pytest.raises(Stopped):
            running.result(120)
    assert [(part.start_ms, part.end_ms, part.last) for part in log.parts] == [(0, SECONDS * 1000, False)]


@pytest.mark.parametrize("reason", [StopReason.CANCELED, StopReason.LOST])
def test_a_hard_stop_commits_nothing(engine: Engine, mp3: Path, reason: StopReason) -> None:
    signal, log = StopSignal(), Told()

    def stop(done: int, _: int | None) -> None:
        if done > 20_000:
            signal.request(reason)

    with pytest.raises(Stopped) as stopped:
        run(engine, mp3, WHOLE, signal=signal, on_progress=stop, log=log)
    assert stopped.value.reason is reason
    assert log.parts == []
    assert log.progress[-1][0] <= 20_000 + 2 * BLOCK_MS


def test_a_cancel_stops_a_job_that_waits_for_the_device_and_no_other(
    engine: Engine, mp3: Path, undisturbed: Told
) -> None:
    """The device is held until the canceled job has ended, so that its wait alone can notice."""
    held, go_on, signal = threading.Event(), threading.Event(), StopSignal()

    def hold(questions: list[int]) -> list[int]:
        held.set()
        assert go_on.wait(120)
        return questions

    def cancel() -> None:
        until(lambda: engine.stats().queued_segments)
        signal.request(StopReason.CANCELED)

    with ThreadPoolExecutor(3) as threads:
        holding = threads.submit(engine.batcher.call, hold, 0)
        try:
            assert held.wait(60)
            other = threads.submit(run, engine, mp3, 15)
            canceling = threads.submit(cancel)
            with pytest.raises(Stopped):
                run(engine, mp3, signal=signal)
            canceling.result(60)
            assert not holding.done()
        finally:
            go_on.set()
        assert same(other.result(120).sentences, undisturbed.sentences)


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


@pytest.mark.parametrize("loudness_db", [None, -70.0, -50.0])
def test_silence_has_no_sentences(engine: Engine, tmp_path: Path, loudness_db: float | None) -> None:
    length = 30 * SAMPLE_RATE
    samples = np.zeros(length, np.int16)
    if loudness_db is not None:
        samples = to_pcm(noise(length, "pink", loudness_db, np.random.default_rng(3)))
    log = run(engine, write(samples, tmp_path / "silence.wav"), 10)
    assert log.sentences == []
    assert log.ending is not None
    assert log.ending.audio_ms == 30_000
    assert len(log.parts) >= 2


def test_an_error_of_the_caller_ends_the_child(engine: Engine, mp3: Path) -> None:
    def fail(_: Part) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transcribe(engine, Request("job", mp3, LIMITS, 10.0), Hooks(fail, lambda *_: None))


def test_an_error_of_the_file_is_told(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"this is no sound" * 1000)
    with pytest.raises(AudioNotDecodable):
        run(engine, tmp_path / "a.mp3")


def test_many_at_once_say_what_each_says_alone(engine: Engine, mp3: Path, undisturbed: Told) -> None:
    """Segments of all of them meet in the same batches."""
    got: list[list[Sentence]] = []
    threads = [
        threading.Thread(target=lambda seconds=seconds: got.append(run(engine, mp3, seconds).sentences))
        for seconds in (WHOLE, 20, 50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(got) == 3
    assert all(same(each, undisturbed.sentences) for each in got)


PEAK = """
import sys
from pathlib import Path
from tests.engine.test_pipeline import run
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
