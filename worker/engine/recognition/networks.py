"""Paraformer's networks, from features to tokens: FunASR's modules over padded batches, and packed rows on a CPU.

Those of a GPU are in `worker.engine.recognition.gpu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from worker.engine.recognition.bias_networks import BiasNetworks
from worker.engine.recognition.bias_words import BiasWords
from worker.engine.recognition.linear import Arithmetic
from worker.engine.recognition.packed import Bounds, Decoder, Encoder
from worker.engine.recognition.predictor import UPSAMPLING, Intervals, Predictor


@dataclass(frozen=True)
class Scores:
    """Results for the segments of a batch, on the host."""

    counts: list[int]
    """Tokens per segment."""
    ids: NDArray[np.int64]
    """[sum of counts]: the most probable token at each position, segment after segment."""
    log_probabilities: NDArray[np.float64]
    """[sum of counts]: its log-probability."""
    weights: list[NDArray[np.float32]]
    """Per segment: upsampled CIF weights [3 * frames], scaled to sum to its count, or those of its frames [frames]."""


class Tokens(NamedTuple):
    """Tokens of a batch on its device: `ids` int64 [N], `log_probabilities` float32 [N]."""

    ids: Tensor
    log_probabilities: Tensor

    def with_hotwords(self, places: Tensor | slice, logits: Tensor, no_bias: int) -> Tokens:
        """Put in the hotword decoder's tokens (logits float32 [places, vocabulary]) except where it has `no_bias`."""
        ids, log_probabilities = self.ids.clone(), self.log_probabilities.clone()
        found = best(logits)
        spoken = found.ids != no_bias
        ids[places] = torch.where(spoken, found.ids, ids[places])
        log_probabilities[places] = torch.where(spoken, found.log_probabilities, log_probabilities[places])
        return Tokens(ids, log_probabilities)


class Networks(Protocol):
    """Encoder, predictor and decoder."""

    description: str
    """Their layout, for the log: `packed`, or `padded` and why."""

    @property
    def predictor(self) -> Predictor:
        """The rules that count tokens and time words."""
        ...

    def __call__(self, features: Tensor, lengths: Tensor, words: Sequence[BiasWords | None] = ()) -> Scores:
        """Features float32 [B, T, F], zero beyond each length (int64 [B]) → scores.

        `words`, if not empty, holds the hotwords of each segment's job.
        """
        ...


class PaddedNetworks:
    """FunASR's own modules over padded batches, on any device; one copy to the host for each batch.

    In `bf16` and `fp16` the matrix products of encoder and decoder are computed in 16 bits; normalisations, softmax
    and the predictor stay in float32.
    """

    def __init__(
        self,
        model: Any,
        device: torch.device,
        precision: str = "fp32",
        bias: BiasNetworks | None = None,
        reason: str = "as configured",
    ) -> None:
        self.description = f"padded: {reason}"
        self._model = model
        self._bias = bias
        self._device = device
        self._dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        self.predictor = Predictor(model.predictor)

    @torch.inference_mode()
    def __call__(self, features: Tensor, lengths: Tensor, words: Sequence[BiasWords | None] = ()) -> Scores:
        """See `Networks`."""
        lengths = lengths.to("cpu", torch.int64)
        with self._arithmetic():
            encoded, _ = self._model.encode(features.to(self._device), lengths)
        encoded = encoded.float()
        device_lengths = lengths.to(self._device)
        mask = torch.arange(encoded.shape[1], device=self._device) < device_lengths[:, None]  # [B, T]
        encoded = encoded.masked_fill(~mask[..., None], 0.0)
        convolved = self.predictor.convolved(encoded)
        embeddings, intervals = self.predictor.integrate(encoded, convolved, mask, device_lengths)
        counts = intervals.counts
        if self.predictor.times_words:
            weights = self.predictor.upsampled(encoded, convolved, mask, lengths, counts)
        else:
            weights = intervals.weights
        with self._arithmetic():
            hidden, tokens = self._decode(encoded, device_lengths, embeddings, counts)
        tokens = biased(self._bias, tokens, words, (embeddings, hidden.float(), counts))
        return to_host(lengths.tolist(), counts, tokens, weights, self.predictor.upsampling)

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not None)

    def _decode(self, encoded: Tensor, lengths: Tensor, embeddings: Tensor, counts: Tensor) -> tuple[Tensor, Tokens]:
        """The decoder's states [B, N, D], and the tokens."""
        decoder = self._model.decoder
        places = torch.arange(embeddings.shape[1], device=self._device) < counts[:, None]
        padded_counts = counts.clamp(min=1) if embeddings.shape[1] == 1 else counts
        hidden, _ = decoder(encoded, lengths, embeddings, padded_counts, return_hidden=True)
        return hidden, best(decoder.output_layer(hidden[places]).float())


class PackedNetworks:
    """FunASR's weights over packed batches (CPU) (`worker.engine.recognition.packed`). Thread-safe."""

    description = "packed"

    def __init__(self, model: Any, arithmetic: Arithmetic, bias: BiasNetworks | None = None) -> None:
        self._bias = bias
        self._norm = model.decoder.after_norm
        self.predictor = Predictor(model.predictor)
        self._encoder = Encoder(model.encoder, arithmetic)
        self._decoder = Decoder(model.decoder, arithmetic)

    @torch.inference_mode()
    def __call__(self, features: Tensor, lengths: Tensor, words: Sequence[BiasWords | None] = ()) -> Scores:
        """See `Networks`."""
        frames = lengths.tolist()
        rows = torch.cat([item[:length] for item, length in zip(features, frames, strict=True)])
        bounds = bounds_of(frames)
        hidden = self._encoder(rows, bounds)
        segments = [hidden[begin:end] for begin, end in pairwise(bounds.tolist())]
        integrated = [self._integrate(segment) for segment in segments]
        embeddings = [item for item, _ in integrated]
        counts = [len(item) for item in embeddings]
        if self.predictor.times_words:
            weights = self._weights(segments, lengths, torch.tensor(counts))
        else:
            weights = [intervals.weights[0].numpy() for _, intervals in integrated]
        if not sum(counts):
            return Scores(counts, np.empty(0, np.int64), np.empty(0), weights)
        states = self._decoder.states(torch.cat(embeddings), bounds_of(counts), hidden, bounds)
        tokens = self._biased(best(self._decoder.logits(states)), words, embeddings, states)
        return Scores(counts, tokens.ids.numpy(), tokens.log_probabilities.numpy().astype(np.float64), weights)

    def _biased(
        self, tokens: Tokens, words: Sequence[BiasWords | None], embeddings: Sequence[Tensor], states: Tensor
    ) -> Tokens:
        """Tokens with those of hotwords, utterance by utterance, so that not a bit depends on the others."""
        bounds = bounds_of([len(each) for each in embeddings])
        for (begin, end), each, embedded in zip(pairwise(bounds.tolist()), words, embeddings, strict=bool(words)):
            if self._bias is not None and each is not None and end > begin:
                hidden = self._norm(states[begin:end])[None]
                logits = self._bias.logits(each, embedded[None], hidden, torch.tensor([end - begin]))
                tokens = tokens.with_hotwords(slice(begin, end), logits, self._bias.no_bias)
        return tokens

    def _integrate(self, segment: Tensor) -> tuple[Tensor, Intervals]:
        """One segment alone, [T, D] → [N, D], intervals: its number of tokens must not depend on its neighbours."""
        encoded = segment[None]
        mask, lengths = torch.ones(1, len(segment)), torch.tensor([len(segment)])
        embeddings, intervals = self.predictor.integrate(encoded, self.predictor.convolved(encoded), mask, lengths)
        return embeddings[0, : int(intervals.counts)], intervals

    def _weights(self, segments: Sequence[Tensor], lengths: Tensor, counts: Tensor) -> list[NDArray[np.float32]]:
        encoded = pad_sequence(list(segments), batch_first=True)
        mask = torch.arange(encoded.shape[1]) < lengths[:, None]
        peaks = self.predictor.upsampled(encoded, self.predictor.convolved(encoded), mask, lengths, counts)
        return _rows(peaks.numpy(), lengths.tolist(), UPSAMPLING)


def biased(
    bias: BiasNetworks | None,
    tokens: Tokens,
    words: Sequence[BiasWords | None],
    padded: tuple[Tensor, Tensor, Tensor],
) -> Tokens:
    """Tokens with those of hotwords; the utterances of jobs with the same hotwords are decoded together.

    `padded`: the embeddings and the decoder's last states, float32 [B, N, D], and the counts of tokens, int64 [B].
    """
    if bias is None:
        return tokens
    embeddings, hidden, counts = padded
    for each in {one.digest: one for one in words if one is not None}.values():
        chosen = torch.tensor([one is not None and one.digest == each.digest for one in words]).to(counts.device)
        places = chosen.repeat_interleave(counts)
        if places.any():
            logits = bias.logits(each, embeddings[chosen], hidden[chosen], counts[chosen])
            tokens = tokens.with_hotwords(places, logits, bias.no_bias)
    return tokens


def best(logits: Tensor) -> Tokens:
    """Logits float32 [N, vocabulary] → the best tokens."""
    if not len(logits):
        return Tokens(logits.new_empty(0, dtype=torch.int64), logits.new_empty(0))
    top, ids = logits.max(dim=-1)
    return Tokens(ids, top - logits.logsumexp(dim=-1))


def bounds_of(lengths: Sequence[int]) -> Bounds:
    """The first row of each packed segment, from the number of rows of each."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _rows(weights: NDArray[np.float32], frames: Sequence[int], upsampling: int) -> list[NDArray[np.float32]]:
    return [row[: length * upsampling] for row, length in zip(weights, frames, strict=True)]


def to_host(frames: list[int], counts: Tensor, tokens: Tokens, weights: Tensor, upsampling: int) -> Scores:
    """Copy everything to the host as one float32 tensor (token ids are below 2**24 and stay exact).

    `weights` are float32 [B, upsampling * T].
    """
    parts = [counts.float(), tokens.ids.float(), tokens.log_probabilities, weights.flatten()]
    packed = torch.cat(parts).cpu().numpy()
    bounds = np.cumsum([part.numel() for part in parts])
    host_counts, host_ids, host_logs, host_weights = np.split(packed, bounds[:-1])
    return Scores(
        host_counts.astype(np.int64).tolist(),
        host_ids.astype(np.int64),
        host_logs.astype(np.float64),
        _rows(host_weights.reshape(len(frames), -1), frames, upsampling),
    )
