"""SenseVoice, batched from audio to words and tags.

FunASR's networks in our own pipeline. In fp32 a segment's result does not depend on the other segments of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.options.model_cards import primary_language
from worker.engine.recognition.bias_words import BiasTokenizer
from worker.engine.recognition.compute_threads import ComputeThreads
from worker.engine.recognition.sensevoice.networks import LANGUAGES, QUERIES, Networks
from worker.engine.recognition.sensevoice.words import Vocabulary, tags_of, tokens_of, words_of
from worker.engine.recognition.utterance import SHORTEST_SAMPLES, Frontend, Recognised, Segment, Utterance


class SenseVoice:
    """FunASR's SenseVoiceSmall as a function from segments to words and tags. Only one thread may call `transcribe`.

    On a CPU the batch is divided among `threads`.
    """

    def __init__(self, networks: Networks, frontend: Frontend, vocabulary: Vocabulary, threads: ComputeThreads) -> None:
        self._networks = networks
        self.description = networks.description
        self._frontend = frontend
        self._vocabulary = vocabulary
        self._threads = threads
        self.tokenizer: BiasTokenizer | None = None
        self.times_words = True

    def transcribe(self, utterances: Sequence[Utterance]) -> list[Recognised]:
        """See `Recogniser`. An utterance without a language, or with one that it has no query for, is detected."""
        usable = [index for index, item in enumerate(utterances) if len(item.samples) >= SHORTEST_SAMPLES]
        results = [Recognised([]) for _ in utterances]
        recognised = self._threads.run(
            self._transcribe, [utterances[index] for index in usable], lambda item: len(item.samples)
        )
        for index, result in zip(usable, recognised, strict=True):
            results[index] = result
        return results

    def rehearse(self, segments: Sequence[Segment]) -> None:
        """See `Recogniser`: the words do not matter."""
        self.transcribe([Utterance(segment) for segment in segments])

    def close(self) -> None:
        """End the compute threads."""
        self._threads.close()

    def _transcribe(self, utterances: list[Utterance]) -> list[Recognised]:
        features, lengths = self._frontend([item.samples for item in utterances])
        scores = self._networks(features, lengths, [query_of(item.language) for item in utterances])
        results, position = [], 0
        for length in scores.lengths:
            own = slice(position, position + length)
            tokens = tokens_of(scores.ids[own], scores.log_probabilities[own])
            words = words_of(self._vocabulary, tokens, length - QUERIES)
            results.append(Recognised(words, tags_of(self._vocabulary, tokens)))
            position += length
        return results


def query_of(language: str | None) -> str:
    """The key of LANGUAGES for the language of a job; of a tag such as `zh-CN`, only the first part counts."""
    primary = primary_language(language or "auto")
    return primary if primary in LANGUAGES else "auto"
