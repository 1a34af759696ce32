"""Paraformer, batched from audio to words.

FunASR's networks, with a pipeline of our own around them: the whole batch goes through encoder, predictor,
decoder and timestamps as tensor operations and is copied to the host once. Encoder output beyond each
segment's length is zeroed before the predictor, and its BLSTM runs over each segment's own length, so that in
fp32 a segment's result does not depend on the segments beside it (FunASR does neither, and its text changes
with the batch).

Papers: Paraformer (arXiv 2206.08317), continuous integrate-and-fire (arXiv 1905.11235), timestamps by
upsampled CIF weights (arXiv 2301.12343).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from common.errors import ModelUnavailable
from common.transcript import Word

from .timing import token_times
from .words import Vocabulary, join_tokens

SHORTEST_SAMPLES = 400
"""25 ms: one analysis window. A shorter segment has no frame and yields no words."""

Frontend = Callable[[Sequence[NDArray[np.int16]]], tuple[Tensor, Tensor]]
"""Segments (int16 [samples], 16 kHz) → features float32 [B, T, D] and lengths int64 [B]."""


@dataclass(frozen=True)
class _Scores:
    """What comes back from the device for a batch, on the host."""

    counts: list[int]
    """Tokens per segment."""
    ids: NDArray[np.int64]
    """[sum of counts]: the most probable token at each place, segment after segment."""
    log_probabilities: NDArray[np.float64]
    """[sum of counts]: its natural logarithm of probability."""
    weights: list[NDArray[np.float32]]
    """Per segment [3 * frames]: upsampled CIF weights, scaled to sum to its count."""


class Paraformer:
    """FunASR's BiCifParaformer as a function from segments to words.

    Only one thread may call `recognise`. Raises ModelUnavailable if the model is not of the kind that this
    pipeline reproduces.
    """

    def __init__(self, model: Any, frontend: Frontend, vocabulary: Vocabulary, device: torch.device) -> None:
        self._model = model
        self._frontend = frontend
        self._vocabulary = vocabulary
        self._device = device
        self._skipped = {model.blank_id, model.sos, model.eos}
        _check_predictor(model.predictor)

    def recognise(self, segments: Sequence[NDArray[np.int16]]) -> list[list[Word]]:
        """The words of each segment (int16 [samples], 16 kHz); times in ms from the segment's start.

        A segment without speech gives an empty list and leaves the others as they are.
        """
        usable = [index for index, segment in enumerate(segments) if len(segment) >= SHORTEST_SAMPLES]
        words: list[list[Word]] = [[] for _ in segments]
        if not usable:
            return words
        scores = self._score([segments[index] for index in usable])
        position = 0
        for row, index in enumerate(usable):
            stop = position + scores.counts[row]
            words[index] = self._words(
                scores.ids[position:stop], scores.log_probabilities[position:stop], scores.weights[row]
            )
            position = stop
        return words

    def _words(
        self, ids: NDArray[np.int64], log_probabilities: NDArray[np.float64], weights: NDArray[np.float32]
    ) -> list[Word]:
        """One segment's tokens → words; the arguments are that segment's part of `_Scores`."""
        kept = ~np.isin(ids, list(self._skipped))
        ids, log_probabilities = ids[kept], log_probabilities[kept]
        times = token_times(weights, len(ids))
        return join_tokens(self._vocabulary, ids.tolist(), times.tolist(), log_probabilities.tolist())

    @torch.inference_mode()
    def _score(self, segments: Sequence[NDArray[np.int16]]) -> _Scores:
        """The networks over a padded batch; one copy to the host at its end."""
        features, lengths = self._frontend(segments)
        lengths = lengths.to("cpu", torch.int64)
        frames = lengths.tolist()
        encoded, _ = self._model.encode(features.to(self._device), lengths)
        device_lengths = lengths.to(self._device)
        mask = torch.arange(encoded.shape[1], device=self._device) < device_lengths[:, None]  # [B, T]
        encoded = encoded.masked_fill(~mask[..., None], 0.0)
        convolved = self._convolved(encoded)
        embeddings, counts = self._integrate(encoded, convolved, mask, device_lengths)
        weights = self._upsampled(encoded, convolved, mask, lengths, counts)
        ids, log_probabilities = self._decode(encoded, device_lengths, embeddings, counts)
        return _to_host(frames, counts, ids, log_probabilities, weights, self._model.predictor.upsample_times)

    def _convolved(self, encoded: Tensor) -> Tensor:
        """Encoder output [B, T, D] → the predictor's hidden layer [B, D, T]."""
        predictor = self._model.predictor
        convolved: Tensor = torch.relu(predictor.cif_conv1d(predictor.pad(encoded.transpose(1, 2))))
        return convolved

    def _integrate(self, encoded: Tensor, convolved: Tensor, mask: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Continuous integrate-and-fire without a loop over time.

        Token k gathers the frames where the running sum of weights passes from k to k+1, each by the part of
        its weight that lies there. `encoded` [B, T, D], `convolved` [B, D, T], `mask` [B, T] → embeddings [B,
        N, D] for N = the largest count, counts int64 [B]. Equal to FunASR's loop but for rounding (sums in
        float64).
        """
        predictor = self._model.predictor
        logits = predictor.cif_output(convolved.transpose(1, 2))[..., 0].float()
        weights = torch.relu(torch.sigmoid(logits) * predictor.smooth_factor - predictor.noise_threshold) * mask
        weights = torch.nn.functional.pad(weights, (0, 1))  # the tail: one more frame, of silence
        weights.scatter_(1, lengths[:, None], predictor.tail_threshold)
        counts = weights.sum(dim=1).floor().long()
        ends = weights.double().cumsum(dim=1)  # [B, T + 1]
        begins = ends - weights
        tokens = torch.arange(max(int(counts.max()), 1), device=weights.device, dtype=torch.float64)[None, :, None]
        share = torch.minimum(ends[:, None], tokens + 1) - torch.maximum(begins[:, None], tokens)
        share = share.clamp_(min=0).to(encoded.dtype)  # [B, N, T + 1]
        return share[..., :-1] @ encoded, counts

    def _upsampled(self, encoded: Tensor, convolved: Tensor, mask: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        """CIF weights at three times the frame rate, scaled to sum to each segment's count: float32 [B, 3 *
        T].

        `lengths` is on the host, everything else on the device.
        """
        predictor = self._model.predictor
        source = convolved if predictor.use_cif1_cnn else encoded.transpose(1, 2)
        hidden = predictor.upsample_cnn(source).transpose(1, 2)  # [B, 3T, D]
        if predictor.upsample_type == "cnn_blstm":
            hidden = self._blstm(hidden, lengths * predictor.upsample_times)
        logits = predictor.cif_output2(hidden)[..., 0].float()
        weights = torch.relu(torch.sigmoid(logits) * predictor.smooth_factor2 - predictor.noise_threshold2)
        weights = weights * mask.repeat_interleave(predictor.upsample_times, dim=1)
        return weights * (counts / weights.sum(dim=1))[:, None]

    def _blstm(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """[B, L, D] → [B, L, 2D]; the backward direction begins at each segment's own end."""
        packed = pack_padded_sequence(hidden, lengths, batch_first=True, enforce_sorted=False)
        output, _ = self._model.predictor.blstm(packed)
        padded, _ = pad_packed_sequence(output, batch_first=True, total_length=hidden.shape[1])
        return padded

    def _decode(self, encoded: Tensor, lengths: Tensor, embeddings: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Best token (int64) and its log-probability (float32) at every real place, both [sum of counts]."""
        decoder = self._model.decoder
        places = torch.arange(embeddings.shape[1], device=self._device) < counts[:, None]
        padded_counts = counts.clamp(min=1) if embeddings.shape[1] == 1 else counts
        hidden, _ = decoder(encoded, lengths, embeddings, padded_counts, return_hidden=True)
        logits = decoder.output_layer(hidden[places]).float()
        if not len(logits):
            return places.new_empty(0, dtype=torch.int64), logits.new_empty(0)
        best, ids = logits.max(dim=-1)
        return ids, best - logits.logsumexp(dim=-1)


def _to_host(
    frames: list[int],
    counts: Tensor,
    ids: Tensor,
    log_probabilities: Tensor,
    weights: Tensor,
    upsampling: int,
) -> _Scores:
    """Everything in one float32 tensor and one copy (token ids are below 2**24 and stay exact)."""
    parts = [counts.float(), ids.float(), log_probabilities, weights.flatten()]
    packed = torch.cat(parts).cpu().numpy()
    bounds = np.cumsum([part.numel() for part in parts])
    host_counts, host_ids, host_logs, host_weights = np.split(packed, bounds[:-1])
    rows = host_weights.reshape(len(frames), -1)
    return _Scores(
        host_counts.astype(np.int64).tolist(),
        host_ids.astype(np.int64),
        host_logs.astype(np.float64),
        [row[: length * upsampling] for row, length in zip(rows, frames, strict=True)],
    )


def _check_predictor(predictor: Any) -> None:
    """Raise ModelUnavailable for settings under which our batched predictor would not equal FunASR's."""
    problems = []
    if getattr(predictor, "upsample_type", None) not in ("cnn", "cnn_blstm"):
        problems.append("predictor upsample_type must be cnn or cnn_blstm")
    elif predictor.upsample_times != 3:
        problems.append("predictor upsample_times must be 3")
    if predictor.threshold != 1.0 or predictor.smooth_factor > 1.0 or predictor.tail_threshold <= 0:
        problems.append("predictor needs threshold 1, smooth_factor at most 1 and a tail_threshold")
    if problems:
        raise ModelUnavailable("The recognition model is of a kind this engine does not know: " + "; ".join(problems))
