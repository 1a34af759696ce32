"""Paraformer's predictor: token positions, their acoustic embeddings, and upsampled weights for their times.

Everything is a tensor operation over a batch; FunASR loops over frames and runs the upsampler twice. Encoder output
beyond a segment's length must be zero, and the BLSTM runs over each segment's own length, so that nothing depends on
the other segments of the batch (FunASR does neither).

Papers: continuous integrate-and-fire (arXiv 1905.11235), timestamps by upsampled CIF weights (arXiv 2301.12343).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from common.errors import ModelUnavailable

UPSAMPLING = 3
UNSUPPORTED = "The recognition model is of an unsupported kind"


class Intervals(NamedTuple):
    """The running sum of the weights of frames, the tail being one more frame; a token fires at each whole number."""

    begins: Tensor
    """float64 [B, T + 1]: the sum before each frame."""
    ends: Tensor
    """float64 [B, T + 1]: the sum after it."""
    counts: Tensor
    """int64 [B]: tokens."""

    @property
    def weights(self) -> Tensor:
        """The weights of frames, without the tail: float32 [B, T]."""
        return (self.ends - self.begins)[:, :-1].float()


class Predictor:
    """FunASR's CifPredictorV3, in float32, or its CifPredictorV2, which has no upsampled weights.

    Raises ModelUnavailable for settings under which results would differ.
    """

    def __init__(self, predictor: Any) -> None:
        check_predictor(predictor)
        self._predictor = predictor
        self.upsampling = UPSAMPLING if hasattr(predictor, "upsample_cnn") else 1
        """Weights for times per frame; with 1 they are those of the frames themselves."""
        self.times_words = self.upsampling > 1
        """Whether there are upsampled weights, which are there to time words."""
        self.least_per_frame = 0.0
        """Tokens that each frame counts at least, for measurements: silence has none, and then no decoder runs."""

    def convolved(self, encoded: Tensor) -> Tensor:
        """Encoder output [B, T, D] → the hidden layer [B, D, T]."""
        predictor = self._predictor
        convolved: Tensor = torch.relu(predictor.cif_conv1d(predictor.pad(encoded.transpose(1, 2))))
        return convolved

    def integrate(self, encoded: Tensor, convolved: Tensor, mask: Tensor, lengths: Tensor) -> tuple[Tensor, Intervals]:
        """Continuous integrate-and-fire without a loop over time.

        `encoded` [B, T, D], `convolved` [B, D, T], `mask` [B, T], lengths int64 [B] → embeddings [B, N, D] for N = the
        largest count, and the intervals. Equal to FunASR's loop except for rounding (sums in float64).
        """
        intervals = self.intervals(self._predictor.cif_output(convolved.transpose(1, 2))[..., 0], mask, lengths)
        return self.integrated(encoded, intervals, max(int(intervals.counts.max()), 1)), intervals

    def intervals(self, logits: Tensor, mask: Tensor, lengths: Tensor) -> Intervals:
        """The running sums of the weights of frames: logits [B, T], mask [B, T], lengths int64 [B]."""
        predictor = self._predictor
        weights = torch.relu(torch.sigmoid(logits.float()) * predictor.smooth_factor - predictor.noise_threshold)
        weights = torch.nn.functional.pad(weights * mask, (0, 1))  # the tail: one more frame, of silence
        weights.scatter_(1, lengths[:, None], predictor.tail_threshold)
        ends = weights.double().cumsum(dim=1)
        counts = weights.sum(dim=1).floor().long()
        if self.least_per_frame:
            counts = counts.maximum((lengths * self.least_per_frame).long())
        return Intervals(ends - weights, ends, counts)

    def integrated(self, encoded: Tensor, intervals: Intervals, most: int) -> Tensor:
        """The embeddings of up to `most` tokens, [B, most, D], of `encoded` [B, T, D].

        Token k gathers the frames where the running sum of weights goes from k to k+1, each weighted by the share of
        its weight in that interval.
        """
        begins, ends = intervals.begins[:, None], intervals.ends[:, None]
        tokens = torch.arange(most, device=encoded.device, dtype=torch.float64)[None, :, None]
        share = torch.minimum(ends, tokens + 1) - torch.maximum(begins, tokens)
        share = share.clamp_(min=0).to(encoded.dtype)  # [B, N, T + 1]
        return share[..., :-1] @ encoded

    def upsampled(self, encoded: Tensor, convolved: Tensor, mask: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        """CIF weights at three times the frame rate, scaled to sum to each segment's count: float32 [B, 3 * T].

        Only for a predictor that has them. `lengths` is on the host, everything else on the device.
        """
        predictor = self._predictor
        source = convolved if predictor.use_cif1_cnn else encoded.transpose(1, 2)
        hidden = predictor.upsample_cnn(source).transpose(1, 2)  # [B, 3T, D]
        if predictor.upsample_type == "cnn_blstm":
            hidden = self._blstm(hidden, lengths * UPSAMPLING)
        return self.scaled(predictor.cif_output2(hidden)[..., 0], mask.repeat_interleave(UPSAMPLING, dim=1), counts)

    def scaled(self, logits: Tensor, mask: Tensor, counts: Tensor) -> Tensor:
        """Logits [B, 3 * T] of upsampled frames → weights that sum to each segment's count, zero beyond `mask`."""
        predictor = self._predictor
        weights = torch.relu(torch.sigmoid(logits.float()) * predictor.smooth_factor2 - predictor.noise_threshold2)
        weights = weights * mask
        return weights * (counts / weights.sum(dim=1))[:, None]

    def _blstm(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """[B, L, D] → [B, L, 2D]; the backward direction begins at each segment's own end."""
        if hidden.device.type == "cpu":
            return self._directions(hidden, lengths)
        packed = pack_padded_sequence(hidden, lengths, batch_first=True, enforce_sorted=False)
        output, _ = self._predictor.blstm(packed)
        padded, _ = pad_packed_sequence(output, batch_first=True, total_length=hidden.shape[1])
        return padded

    def _directions(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Like `_blstm`, without packed sequences, which are slow on a CPU.

        Each direction runs separately, the backward one over reversed segments.
        """
        steps = torch.arange(hidden.shape[1])
        turned = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)[..., None]  # [B, L, 1]
        forward, backward = _one_direction(self._predictor.blstm, ""), _one_direction(self._predictor.blstm, "_reverse")
        there = forward(hidden)[0]
        back = backward(hidden.gather(1, turned.expand_as(hidden)))[0]
        return torch.cat([there, back.gather(1, turned.expand_as(back))], dim=2)


def _one_direction(blstm: Any, suffix: str) -> Any:
    """One direction of a bidirectional LSTM as an LSTM that shares its weights."""
    with torch.device("meta"):
        lstm = torch.nn.LSTM(blstm.input_size, blstm.hidden_size, batch_first=True)
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        setattr(lstm, name, getattr(blstm, name + suffix))
    return lstm.eval()


def check_predictor(predictor: Any) -> None:
    """Raise ModelUnavailable for settings under which our batched predictor would not equal FunASR's."""
    kind = type(predictor).__name__
    if kind not in ("CifPredictorV2", "CifPredictorV3"):
        raise ModelUnavailable(f"{UNSUPPORTED}: predictor must be a CifPredictorV2 or CifPredictorV3")
    problems = []
    if kind == "CifPredictorV3" and predictor.upsample_type not in ("cnn", "cnn_blstm"):
        problems.append("predictor upsample_type must be cnn or cnn_blstm")
    if kind == "CifPredictorV3" and predictor.upsample_times != UPSAMPLING:
        problems.append("predictor upsample_times must be 3")
    if predictor.threshold != 1.0 or predictor.smooth_factor > 1.0 or predictor.tail_threshold <= 0:
        problems.append("predictor needs threshold 1, smooth_factor at most 1 and a tail_threshold")
    if problems:
        raise ModelUnavailable(f"{UNSUPPORTED}: {'; '.join(problems)}")
