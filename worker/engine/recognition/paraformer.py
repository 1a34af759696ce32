"""Paraformer, batched from audio to words.

FunASR's networks in our own pipeline. In fp32 a segment's result does not depend on the other segments of the batch:
the predictor reads nothing beyond a segment's length. (FunASR's text changes with the batch.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.transcript.values import Word
from worker.engine.recognition.bias_words import BiasTokenizer
from worker.engine.recognition.compute_threads import ComputeThreads
from worker.engine.recognition.networks import Networks
from worker.engine.recognition.timing import estimated_times, token_times
from worker.engine.recognition.utterance import SHORTEST_SAMPLES, Frontend, Recognised, Segment, Utterance
from worker.engine.recognition.words import Vocabulary, join_tokens

DENSE_TOKENS_PER_FRAME = 0.4
"""Nearly seven tokens per second, in frames of 60 ms: fast speech."""


class Paraformer:
    """FunASR's Paraformer, of any class, as a function from segments to words. Only one thread may call `recognise`.

    `skipped` holds the ids of blank, begin and end. On a CPU the batch is divided among `threads`. `tokenizer` writes
    hotwords; None for networks that take none.
    """

    def __init__(
        self,
        networks: Networks,
        frontend: Frontend,
        vocabulary: Vocabulary,
        skipped: set[int],
        threads: ComputeThreads,
        tokenizer: BiasTokenizer | None = None,
    ) -> None:
        self._networks = networks
        self.description = networks.description
        self.times_words = networks.predictor.times_words
        self._frontend = frontend
        self._vocabulary = vocabulary
        self._skipped = np.array(sorted(skipped))
        self._threads = threads
        self.tokenizer = tokenizer

    def recognise(self, segments: Sequence[Segment]) -> list[list[Word]]:
        """Like `recognise_utterances`, without hotwords."""
        return self.recognise_utterances([Utterance(segment) for segment in segments])

    def recognise_utterances(self, utterances: Sequence[Utterance]) -> list[list[Word]]:
        """The words of each utterance; times in ms from its start.

        An utterance without speech gives an empty list and does not affect the others.
        """
        usable = [index for index, each in enumerate(utterances) if len(each.samples) >= SHORTEST_SAMPLES]
        words: list[list[Word]] = [[] for _ in utterances]
        chosen = [utterances[index] for index in usable]
        recognised = self._threads.run(self._recognise, chosen, lambda each: len(each.samples))
        for index, result in zip(usable, recognised, strict=True):
            words[index] = result
        return words

    def transcribe(self, utterances: Sequence[Utterance]) -> list[Recognised]:
        """See `Recogniser`; the language does not matter."""
        return [Recognised(words) for words in self.recognise_utterances(utterances)]

    def rehearse(self, segments: Sequence[Segment]) -> None:
        """See `Recogniser`."""
        predictor = self._networks.predictor
        predictor.least_per_frame = DENSE_TOKENS_PER_FRAME
        try:
            self.recognise(segments)
        finally:
            predictor.least_per_frame = 0.0

    def close(self) -> None:
        """End the compute threads."""
        self._threads.close()

    def _recognise(self, utterances: list[Utterance]) -> list[list[Word]]:
        features, lengths = self._frontend([each.samples for each in utterances])
        scores = self._networks(features, lengths, [each.words for each in utterances])
        words, position = [], 0
        for count, weights in zip(scores.counts, scores.weights, strict=True):
            stop = position + count
            words.append(self._words(scores.ids[position:stop], scores.log_probabilities[position:stop], weights))
            position = stop
        return words

    def _words(
        self, ids: NDArray[np.int64], log_probabilities: NDArray[np.float64], weights: NDArray[np.float32]
    ) -> list[Word]:
        """One segment's tokens → words; the arguments are that segment's part of `Scores`."""
        kept = ~np.isin(ids, self._skipped)
        times = self._times(weights, kept)
        ids, log_probabilities = ids[kept], log_probabilities[kept]
        return join_tokens(self._vocabulary, ids.tolist(), times.tolist(), log_probabilities.tolist())

    def _times(self, weights: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Begin and end of the tokens that are kept (bool [tokens of the segment]), in ms."""
        if self.times_words:
            return token_times(weights, int(kept.sum()))
        return estimated_times(weights, len(kept))[kept]
