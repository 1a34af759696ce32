"""One channel of one job: samples in, finished sentences out.

The stream cuts the audio with VAD, submits segments to the engine's batcher and puts the resulting words into order.
It holds only the audio that VAD may still need, and a few outstanding segments. Its state is small, and a stream
resumed from it produces exactly the text of an uninterrupted one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from common.options.segmentation import FIXED, SEGMENTATIONS, Segmentation
from common.transcript.values import Sentence
from worker.engine.batching.batcher import Batcher
from worker.engine.heard import Heard
from worker.engine.punctuation.punctuator import Labels, PunctuationStream, Punctuator
from worker.engine.recognition.bias_words import BiasWords
from worker.engine.recognition.utterance import Recognised, Utterance, placed
from worker.engine.resume_state import StaleState, StateIdentity, sentence_of
from worker.engine.speakers.windows import Windows, records, spans
from worker.engine.stopwatch import PUNCTUATE, RECOGNISE, SPEAKERS, VAD, Stopwatch
from worker.engine.vad.detector import VadStream

SAMPLE_RATE = 16_000
SAMPLES_PER_MS = SAMPLE_RATE // 1000

Samples = NDArray[np.int16]

UNPUNCTUATED = ("ja", "ko")
"""Languages that punctuation models do not know: sentences end with the segment."""
MOST_EMBEDDING = 16
"""Segments of a stream whose embeddings may be outstanding."""


class StreamEngine(Protocol):
    """What a stream needs from the engine."""

    batcher: Batcher[Utterance, Recognised]
    punctuator: Punctuator
    vad_lookahead_ms: int

    @property
    def state_identity(self) -> StateIdentity:
        """The identity that an engine needs to continue from a stream's state, with its default segmentation."""
        ...

    def vad_stream(self, state: dict[str, Any] | None, segmentation: Segmentation) -> VadStream:
        """A VAD stream, new or resumed."""
        ...

    def label(self, window: list[int]) -> Labels:
        """Punctuation labels of one window."""
        ...

    def embed(self, segment: Samples) -> Future[NDArray[np.float16]]:
        """Begin the embeddings of a segment's windows."""
        ...


@dataclass(frozen=True, slots=True)
class _Segment:
    """A submitted segment: its times in the channel, its length in samples, and its pending results."""

    start_ms: int
    speech_end_ms: int
    samples: int
    recognised: Future[Recognised]
    embeddings: Future[NDArray[np.float16]] | None

    def done(self) -> bool:
        """Whether nothing has to be waited for."""
        return self.recognised.done() and (self.embeddings is None or self.embeddings.done())


class RecognitionStream:
    """Created by `Engine.stream`. Not thread-safe, except `cancel`."""

    def __init__(
        self,
        engine: StreamEngine,
        channel: int,
        key: Hashable,
        state: bytes | None,
        stopwatch: Stopwatch | None = None,
        *,
        speakers: bool = False,
        segmentation: Segmentation = SEGMENTATIONS[FIXED],
        words: BiasWords | None = None,
        language: str | None = None,
    ) -> None:
        self._engine = engine
        self._language = language
        self._segmentation = segmentation
        self._bias_words = words
        hotwords = words.digest if words else ""
        self._identity = replace(engine.state_identity, segmentation=segmentation, hotwords=hotwords)
        self._watch = stopwatch or Stopwatch()
        self._key = (key, channel, id(self))
        self._channel = channel
        self._vad = engine.vad_stream(None, segmentation)
        self._punctuation = PunctuationStream(engine.punctuator, engine.label, channel)
        self._outstanding: deque[_Segment] = deque()
        self._speakers = speakers
        self._windows: list[Windows] = []
        self._ready: list[Sentence] = []
        self._audio = np.zeros(0, np.int16)
        self._audio_start = 0
        self._last_end_ms = 0
        # The end of a segment's last word → the end of speech according to VAD, for sentences that end there.
        self._speech_ends: dict[int, int] = {}
        self._heard = Heard()
        self._cancelled = False
        self.segments = 0
        if state is not None:
            self._restore(state)

    @property
    def resume_sample(self) -> int:
        """The sample from which a stream made with this `state()` must be fed."""
        return self._audio_start

    @property
    def position_samples(self) -> int:
        """The number of samples of the channel that the stream has received."""
        return self._audio_start + len(self._audio)

    @property
    def in_pause(self) -> bool:
        """Whether the current position is in a pause: a good place to end a part."""
        return not self._vad.in_speech

    def accept(self, samples: Samples) -> list[Sentence]:
        """Take the next int16 [n] at 16 kHz; returns sentences finished since the last call.

        Blocks while this stream has too much queued. Raises the error of the recognition of one of its segments, and
        CancelledError after `cancel`.
        """
        self._check_wanted()
        self._audio = np.concatenate([self._audio, samples])
        unseen = self._vad.position_samples - self._audio_start
        if len(self._audio) > unseen:
            self._submit(self._watch.call(VAD, self._vad.accept, self._audio[unseen:]))
            self._forget()
        self._collect(wait=False)
        return self._take_ready()

    def drain(self) -> list[Sentence]:
        """Wait for the outstanding segments and return the sentences that are finished with them."""
        self._collect(wait=True)
        return self._take_ready()

    def finish(self) -> list[Sentence]:
        """Finish at the end of the audio; return the remaining sentences."""
        self._submit(self._watch.call(VAD, self._vad.finish))
        self._collect(wait=True)
        audio_ms = self.position_samples // SAMPLES_PER_MS
        last = self._watch.call(PUNCTUATE, self._punctuation.finish)
        self._ready += [_within(sentence, audio_ms) for sentence in self._spoken(last)]
        self._audio_start, self._audio = self.position_samples, self._audio[:0]
        return self._take_ready()

    def take_windows(self) -> list[Windows]:
        """The windows of the segments that are finished since the last call, with their embeddings."""
        taken, self._windows = self._windows, []
        return taken

    def cancel(self) -> None:
        """Drop everything queued; callable from any thread. A blocked or later call raises CancelledError."""
        self._cancelled = True
        self._engine.batcher.withdraw(self._key)
        for segment in list(self._outstanding):
            segment.recognised.cancel()
            if segment.embeddings is not None:
                segment.embeddings.cancel()

    def state(self) -> bytes:
        """The state for `Engine.stream(state=…)`, which must then be fed from `resume_sample` on.

        Waits for the outstanding segments. Sentences that they finish and that no call has returned yet are part of
        the state; the next call on this stream returns them too.
        """
        self._collect(wait=True)
        vad_state = self._vad.state() | {"waiting": np.zeros(0, np.int16)}  # fed again, from resume_sample on
        return self._identity.pack(
            {
                "channel": self._channel,
                "resume_sample": self._audio_start,
                "last_end_ms": self._last_end_ms,
                "speech_ends": list(self._speech_ends.items()),
                "heard": self._heard.state(),
                "segments": self.segments,
                "punctuation": self._punctuation.state(),
                "ready": [asdict(sentence) for sentence in self._ready],
                "vad": vad_state,
            }
        )

    def _restore(self, packed: bytes) -> None:
        state = self._identity.unpack(packed)
        try:
            if state["channel"] != self._channel:
                raise StaleState(f"The resume state is of channel {state['channel']}, not of {self._channel}.")
            self._vad = self._engine.vad_stream(dict(state["vad"]), self._segmentation)
            self._punctuation.restore(state["punctuation"])
            self._ready = [sentence_of(fields) for fields in state["ready"]]
            self._audio_start = int(state["resume_sample"])
            self._last_end_ms = int(state["last_end_ms"])
            self._speech_ends = dict(state["speech_ends"])
            self._heard.restore(state["heard"])
            self.segments = int(state["segments"])
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise StaleState(f"The resume state is incomplete: {error}") from error

    def _submit(self, segments: Sequence[tuple[int, int]]) -> None:
        """Cut segments (start and end in ms of the channel) out of the audio and queue them."""
        for start_ms, end_ms in segments:
            self._check_wanted()
            start = start_ms * SAMPLES_PER_MS - self._audio_start
            samples = self._audio[max(start, 0) : end_ms * SAMPLES_PER_MS - self._audio_start].copy()
            self.segments += 1
            utterance = Utterance(samples, self._bias_words, self._language)
            with self._watch.time(RECOGNISE):
                future = self._engine.batcher.submit(self._key, utterance, len(samples) / SAMPLE_RATE)
            embeddings = self._engine.embed(samples) if self._speakers else None
            speech_end_ms = end_ms - self._engine.vad_lookahead_ms
            self._outstanding.append(_Segment(start_ms, speech_end_ms, len(samples), future, embeddings))
            if self._speakers and len(self._outstanding) > MOST_EMBEDDING:
                self._take(self._outstanding[0])
            self._collect(wait=False)

    def _check_wanted(self) -> None:
        if self._cancelled:
            raise CancelledError

    def _forget(self) -> None:
        """Drop audio that no future segment can contain."""
        keep = min(self._vad.keep_from_ms * SAMPLES_PER_MS, self._vad.position_samples)
        if keep > self._audio_start:
            self._audio = self._audio[keep - self._audio_start :].copy()
            self._audio_start = keep

    def _collect(self, wait: bool) -> None:
        """Pass words of finished segments to punctuation, in order."""
        self._check_wanted()
        while self._outstanding and (wait or self._outstanding[0].done()):
            self._take(self._outstanding[0])

    def _take(self, segment: _Segment) -> None:
        """Wait for the first outstanding segment, and pass on its words."""
        if segment.embeddings is not None:
            embeddings = self._watch.call(SPEAKERS, segment.embeddings.result)
        recognised = self._watch.call(RECOGNISE, segment.recognised.result)
        words = placed(recognised.words, segment.start_ms, self._last_end_ms)
        self._outstanding.popleft()
        if segment.embeddings is not None:
            self._windows.append(records(self._channel, segment.start_ms, spans(segment.samples), embeddings))
        if words:
            self._last_end_ms = words[-1].end_ms
            self._speech_ends[words[-1].end_ms] = segment.speech_end_ms
            self._heard.add(words, recognised.tags)
            self._ready += self._spoken(self._watch.call(PUNCTUATE, self._punctuation.accept, words))
            if recognised.tags is not None and recognised.tags.language in UNPUNCTUATED:
                self._ready += self._spoken(self._watch.call(PUNCTUATE, self._punctuation.finish))

    def _spoken(self, sentences: list[Sentence]) -> list[Sentence]:
        """Sentences that end a segment end where VAD detected the end of speech.

        FunASR limits tokens to 240 ms, which is too short for a last syllable: sentences ended up to half a second
        early. The words keep FunASR's times.
        """
        spoken = []
        for sentence in sentences:
            last = sentence.words[-1].end_ms
            end_ms = max(sentence.end_ms, self._speech_ends.get(last, 0))
            spoken.append(replace(sentence, end_ms=end_ms, tags=self._heard.of(sentence)))
            self._speech_ends = {word: end for word, end in self._speech_ends.items() if word > last}
        return spoken

    def _take_ready(self) -> list[Sentence]:
        ready, self._ready = self._ready, []
        return ready


def _within(sentence: Sentence, audio_ms: int) -> Sentence:
    """Clip times to the end of the file: FunASR places the last words up to 35 ms after it."""
    if sentence.end_ms <= audio_ms:
        return sentence
    words = tuple(
        replace(word, start_ms=min(word.start_ms, audio_ms), end_ms=min(word.end_ms, audio_ms))
        for word in sentence.words
    )
    return replace(sentence, words=words, start_ms=words[0].start_ms, end_ms=audio_ms)
