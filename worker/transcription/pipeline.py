"""Turns audio into parts of sentences, with a resume state, progress reports and a way to stop.

Depends on the engine, but not on the queue or the database.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from common.options.segmentation import SegmentationName
from common.transcript.recording import Recording, RecordingWarning, WarningCode
from common.transcript.text_rules import NO_RULES, TextRules, finished
from common.transcript.values import Part, Sentence
from worker.engine.audio import SAMPLE_RATE, AudioReader, DecodeLimits
from worker.engine.decoding import DECODING_VERSION
from worker.engine.engine import Engine
from worker.engine.resume_state import StaleState
from worker.engine.speakers.windows import packed
from worker.engine.stopwatch import DECODE, Stopwatch
from worker.engine.stream import RecognitionStream
from worker.transcription.stop import Stopped, StopReason, StopSignal

BLOCK_SAMPLES = 2 * SAMPLE_RATE
# Samples are identical only if the same code and libraries decode them.
DECODING = f"{DECODING_VERSION}/{version('av')}"
SAMPLES_PER_MS = SAMPLE_RATE // 1000
# Without a pause in the speech, a part ends at this multiple of its normal length.
LONGEST_PART = 2.0


@dataclass(frozen=True, slots=True)
class Request:
    """What to transcribe and how."""

    key: str
    path: Path
    limits: DecodeLimits
    part_seconds: float
    resume: Part | None = None
    channels: str = "mix"
    track: str = "default"
    speakers: bool = False
    rules: TextRules = NO_RULES
    segmentation: SegmentationName | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Hooks:
    """Callbacks of a running pipeline, all called in the thread that runs it.

    `on_part` commits a part other than the last; `on_progress` receives the milliseconds done and the length that the
    file declares, if any. `stopwatch` measures each stage.
    """

    on_part: Callable[[Part], None]
    on_progress: Callable[[int, int | None], None]
    signal: StopSignal = field(default_factory=StopSignal)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """The result for the whole audio: its last part, not yet committed, and its measurements."""

    last: Part
    audio_ms: int
    channels: int


def transcribe(engine: Engine, request: Request, hooks: Hooks) -> PipelineResult:
    """Transcribe a file, emitting a part every few minutes.

    Continues after `request.resume` with exactly the text of an uninterrupted run: the audio is decoded from the start
    and discarded up to that position, because seeking in compressed audio is not sample-exact.

    Raises the Audio… errors, OutOfMemory, StaleState and Stopped; on a shutdown the part up to that position is emitted
    first.
    """
    with _opened(request, hooks) as reader:
        run = _Run(engine, request, hooks, reader)
        hooks.signal.on_abandon(run.abandon)
        try:
            return run.whole()
        except CancelledError:
            hooks.signal.check_abandoned()
            raise
        finally:
            run.abandon()


def _opened(request: Request, hooks: Hooks) -> AudioReader:
    with hooks.stopwatch.time(DECODE):
        return AudioReader(
            request.path,
            limits=request.limits,
            channels=request.channels,
            track=request.track,
            check=hooks.signal.check,
        )


class _Run:
    """One pass over the audio."""

    def __init__(self, engine: Engine, request: Request, hooks: Hooks, reader: AudioReader) -> None:
        self._engine = engine
        self._hooks = hooks
        self._rules = request.rules
        self._reader = reader
        self._part_samples = int(request.part_seconds * SAMPLE_RATE)
        self._decoded = 0
        self._sentences: list[Sentence] = []
        resume = request.resume
        self._number = resume.number + 1 if resume else 0
        self._part_start = resume.end_ms * SAMPLES_PER_MS if resume else 0
        states: list[bytes | None] = [None] * reader.channels
        if resume is not None:
            self._part_start, states = _unpack(resume.state, reader.channels)
        self._streams = [
            engine.stream(
                channel,
                request.key,
                state,
                hooks.stopwatch,
                speakers=request.speakers,
                segmentation=request.segmentation,
                language=request.language,
                hotwords=request.rules.hotwords,
            )
            for channel, state in enumerate(states)
        ]
        # The sample from which each channel is fed; it needs some audio from before the end of the last part.
        self._feed_from = [stream.resume_sample for stream in self._streams]

    def abandon(self) -> None:
        """Drop everything queued in the engine; callable from any thread."""
        for stream in self._streams:
            stream.cancel()

    def whole(self) -> PipelineResult:
        """Process the audio from here to its end. On a shutdown, commits what there is and raises Stopped."""
        blocks = self._reader.blocks(BLOCK_SAMPLES)
        try:
            while (block := self._hooks.stopwatch.call(DECODE, next, blocks, None)) is not None:
                self._take(block)
        except Stopped as stopped:
            if stopped.reason is StopReason.SHUTDOWN and self._decoded > self._part_start:
                self._commit()
            raise
        return self._finish()

    def _take(self, block: np.ndarray) -> None:
        """Process the next samples, int16 [channels, n]."""
        self._hooks.signal.check_abandoned()
        start, self._decoded = self._decoded, self._decoded + block.shape[1]
        for stream, samples, feed_from in zip(self._streams, block, self._feed_from, strict=True):
            if self._decoded > feed_from:
                self._sentences += stream.accept(samples[max(0, feed_from - start) :])
        if self._decoded > self._part_start:
            self._hooks.on_progress(self._decoded // SAMPLES_PER_MS, self._reader.duration_ms)
        self._maybe_commit()

    def _maybe_commit(self) -> None:
        self._hooks.signal.check()
        length = self._decoded - self._part_start
        pausing = all(stream.in_pause for stream in self._streams)
        if length >= self._part_samples * (1.0 if pausing else LONGEST_PART):
            self._commit()

    def _commit(self) -> None:
        for stream in self._streams:
            self._sentences += stream.drain()
        self._hooks.on_part(self._part(_pack(self._decoded, self._streams)))

    def _finish(self) -> PipelineResult:
        """Finish after the end of the audio."""
        for stream in self._streams:
            self._sentences += stream.finish()
        audio_ms = self._decoded // SAMPLES_PER_MS
        return PipelineResult(self._part(b"", last=True), audio_ms, self._reader.channels)

    def _part(self, state: bytes, *, last: bool = False) -> Part:
        """Build a part from the sentences since the last one, in the order they were spoken."""
        in_order = sorted(self._sentences, key=lambda item: (item.start_ms, item.channel))
        ordered = tuple(finished(sentence, self._rules) for sentence in in_order)
        start_ms, end_ms = self._part_start // SAMPLES_PER_MS, self._decoded // SAMPLES_PER_MS
        recording = Recording(self._reader.tracks, self._reader.warnings)
        windows = packed([each for stream in self._streams for each in stream.take_windows()])
        part = Part(self._number, start_ms, end_ms, ordered, state, last, recording, windows)
        self._sentences = []
        self._number += 1
        self._part_start = self._decoded
        return part


def with_no_speech(last: Part) -> Part:
    """Add the no-speech warning to the last part of a recording without speech."""
    warning = RecordingWarning(WarningCode.NO_SPEECH.value, "No speech was found in the recording; the text is empty.")
    recording = replace(last.recording, warnings=(*last.recording.warnings, warning))
    return replace(last, recording=recording)


def _pack(position: int, streams: list[RecognitionStream]) -> bytes:
    """The resume state of a part: the position and a state for each channel, with the identity of its engine."""
    states = [base64.b64encode(stream.state()).decode("ascii") for stream in streams]
    return json.dumps({"decoding": DECODING, "position_samples": position, "streams": states}).encode("ascii")


def _unpack(state: bytes, channels: int) -> tuple[int, list[bytes | None]]:
    """The inverse of `_pack`. Raises StaleState for anything else, and for another number of channels."""
    try:
        fields = json.loads(state)
        position = int(fields["position_samples"])
        streams: list[bytes | None] = [base64.b64decode(text, validate=True) for text in fields["streams"]]
    except (ValueError, LookupError, TypeError) as error:
        raise StaleState(f"The resume state cannot be read: {error}") from error
    if fields.get("decoding") != DECODING:
        raise StaleState(f"The audio was decoded by {fields.get('decoding')}, here it is {DECODING}.")
    if len(streams) != channels:
        raise StaleState(f"The resume state is of {len(streams)} channels, the file has {channels}.")
    return position, streams
