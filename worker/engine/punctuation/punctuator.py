"""Streaming punctuation with the same result as FunASR on the whole file.

CT-Transformer (arXiv 2003.01309) reads windows of 20 words counted from the start of the file; the words
after the last finished sentence are carried into the next window. The labels of a window are final, so
sentences can be emitted while the audio is still being decoded. The rules are those of FunASR's
`CTTransformer.inference`; models count characters, or words that `worker.engine.punctuation.segmenter` finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from common.transcript.scripts import is_spaced
from common.transcript.values import Sentence, Word
from worker.engine.punctuation.segmenter import Segmenter, Token, TokenStream

WINDOW_WORDS = 20
LONG_SENTENCE_WORDS = 200
"""A sentence of this length without a full stop is cut at its last comma."""

LONGEST_SENTENCE_WORDS = 1000
"""A sentence of this length is cut anywhere. FunASR has no such limit; it bounds memory and time."""

_FULL_STOPS = ("。", "？")
_HALF_WIDTH = {"，": ",", "。": ".", "？": "?"}
_NO_MARK = "_"

Labels = NDArray[np.int64]
Labeller = Callable[[list[int]], Labels]
"""Token ids of a window → one label per token; `Punctuator.label` on the device's thread."""


class Punctuator:
    """FunASR's CTTransformer as a function from token ids to labels. Only one thread may call `label`.

    `scores` computes them instead of the model's own modules: from token ids of windows, float32 [tokens, marks] each.
    """

    def __init__(
        self,
        model: Any,
        tokens: Sequence[str],
        device: torch.device,
        segmenter: Segmenter | None = None,
        *,
        scores: Callable[[Sequence[Sequence[int]]], list[Tensor]] | None = None,
    ) -> None:
        self.segmenter = segmenter
        self._model = model
        self._scores = scores
        self._device = device
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._unknown = self._ids["<unk>"]
        self.marks = [str(mark) for mark in model.punc_list]
        self.sentence_end_id = int(model.sentence_end_id)

    def ids(self, tokens: Sequence[Token]) -> list[int]:
        """The ids of tokens; unknown tokens map to `<unk>`."""
        return [self._ids.get(token.text, self._unknown) for token in tokens]

    @torch.inference_mode()
    def label(self, windows: Sequence[list[int]]) -> list[Labels]:
        """The labels of each window of token ids, int64 [tokens]; all windows run in one batch."""
        if self._scores is not None:
            return [scores.argmax(dim=-1).numpy() for scores in self._scores(windows)]
        lengths = torch.tensor([len(window) for window in windows])
        padded = pad_sequence([torch.tensor(window) for window in windows], batch_first=True)
        scores, _ = self._model.punc_forward(padded.to(self._device), lengths)  # [B, T, marks]
        labels: Labels = scores.argmax(dim=-1).cpu().numpy()
        return [row[: len(window)] for row, window in zip(labels, windows, strict=True)]


class PunctuationStream:
    """Turns words into finished sentences. One per channel of a job; not thread-safe."""

    def __init__(self, punctuator: Punctuator, label: Labeller, channel: int = 0) -> None:
        self._punctuator = punctuator
        self._label = label
        self._channel = channel
        self._tokens = TokenStream(punctuator.segmenter)
        self._carried: list[Token] = []
        self._window: list[Token] = []

    def accept(self, words: Sequence[Word]) -> list[Sentence]:
        """Take the next words (times in ms of the file) and return the sentences that they complete.

        A full window waits for the word after it, because the last window of a file is treated differently.
        """
        self._window.extend(self._tokens.accept(words))
        return self._full_windows()

    def _full_windows(self) -> list[Sentence]:
        sentences: list[Sentence] = []
        while len(self._window) > WINDOW_WORDS:
            self._carried += self._window[:WINDOW_WORDS]
            del self._window[:WINDOW_WORDS]
            labels = self._labels()
            end = self._cut(labels)
            sentences += self._sentences(self._carried[:end], labels[:end])
            del self._carried[:end]
        return sentences

    def finish(self) -> list[Sentence]:
        """The sentences of the remaining words; the last one always ends with a full stop."""
        self._window.extend(self._tokens.finish())
        finished = self._full_windows()
        self._carried += self._window
        self._window = []
        if not self._carried:
            return finished
        sentences = self._sentences(self._carried, self._labels())
        self._carried = []
        return [*finished, *sentences[:-1], replace(sentences[-1], text=_closed(sentences[-1].text))]

    def state(self) -> dict[str, Any]:
        """The state for `restore`, as plain lists."""
        return {
            "carried": [[token.text, _plain(token.words)] for token in self._carried],
            "window": [[token.text, _plain(token.words)] for token in self._window],
            "unsettled": _plain(self._tokens.state()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state()`."""
        self._carried = [Token(text, _words(fields)) for text, fields in state["carried"]]
        self._window = [Token(text, _words(fields)) for text, fields in state["window"]]
        self._tokens.restore(_words(state["unsettled"]))

    def _labels(self) -> list[int]:
        labels: list[int] = self._label(self._punctuator.ids(self._carried)).tolist()
        return labels

    def _cut(self, labels: list[int]) -> int:
        """The number of words that belong to finished sentences; may insert a full stop into `labels`.

        The last word of a window and its first two cannot end a sentence (FunASR's rule).
        """
        marks = self._punctuator.marks
        comma = -1
        for index in range(len(labels) - 2, 1, -1):
            mark = marks[labels[index]]
            if mark in _FULL_STOPS:
                return index + 1
            if comma < 0 and mark == "，":
                comma = index
        if len(labels) <= LONG_SENTENCE_WORDS:
            return 0
        if comma < 0:
            if len(labels) <= LONGEST_SENTENCE_WORDS:
                return 0
            comma = len(labels) - 2
        labels[comma] = self._punctuator.sentence_end_id
        return comma + 1

    def _sentences(self, tokens: Sequence[Token], labels: Sequence[int]) -> list[Sentence]:
        """Split tokens with final labels into sentences at their full stops."""
        marks = [self._punctuator.marks[label] for label in labels]
        pieces = _pieces(tokens, marks)
        sentences: list[Sentence] = []
        begin = 0
        for index, mark in enumerate(marks):
            if mark in _FULL_STOPS or index == len(marks) - 1:
                text = "".join(pieces[begin : index + 1])
                words = tuple(word for token in tokens[begin : index + 1] for word in token.words)
                sentences.append(_sentence(text, words, self._channel))
                begin = index + 1
        return sentences


def _sentence(text: str, words: tuple[Word, ...], channel: int) -> Sentence:
    confidence = sum(word.confidence for word in words) / len(words)
    return Sentence(text.strip(), words[0].start_ms, words[-1].end_ms, confidence, words, channel)


def _pieces(tokens: Sequence[Token], marks: Sequence[str]) -> list[str]:
    """Each token as written: space before it, capital letter, mark after it.

    Words of a script with spaces are separated by one, capitalised at the start of a sentence, and followed by a
    half-width mark.
    """
    pieces = []
    after_latin, at_start = True, True
    for token, mark in zip(tokens, marks, strict=True):
        text = token.text
        latin = is_spaced(text[0])
        if latin:
            text = text.capitalize() if at_start else text
            text = " " + text if after_latin else text
        if mark != _NO_MARK:
            text += _HALF_WIDTH.get(mark, mark) if latin else mark
        pieces.append(text)
        after_latin, at_start = latin, mark in _FULL_STOPS
    return pieces


def _closed(text: str) -> str:
    """Close the text of a file: its last mark becomes a full stop, or one is added."""
    last = text[-1]
    if last in "，、":
        return text[:-1] + "。"
    if last == ",":
        return text[:-1] + "."
    if last in "。？.?":
        return text
    return text + ("." if is_spaced(last) else "。")


def _words(fields: Sequence[Sequence[Any]]) -> tuple[Word, ...]:
    return tuple(Word(*values) for values in fields)


def _plain(words: Sequence[Word]) -> list[list[Any]]:
    return [[word.text, word.start_ms, word.end_ms, word.confidence] for word in words]
