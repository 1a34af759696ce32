"""Paraformer's predictor over packed rows, in float32: token positions, their embeddings, and weights for their times.

The convolutions are matrix products over rows (the transposed one has no overlap), and the BLSTM reads the rows in
the order of a packed sequence. Only the weights, one number for each row, are ever padded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from worker.engine.recognition.gpu.layout import Layout
from worker.engine.recognition.predictor import UPSAMPLING, Intervals, Predictor


class RowPredictor:
    """See `Predictor`, with the same rules and errors."""

    def __init__(self, predictor: Any, device: torch.device) -> None:
        self.rules = Predictor(predictor)
        self.upsampling = self.rules.upsampling
        self._predictor = predictor.to(device)
        self._left, self._right = predictor.pad.padding
        convolution = predictor.cif_conv1d
        self._window = convolution.weight.detach().permute(2, 1, 0).flatten(0, 1).contiguous()  # [K D, D]
        self._window_bias = convolution.bias.detach()
        if self.upsampling > 1:
            upsample = predictor.upsample_cnn
            self._upsample = upsample.weight.detach().permute(0, 2, 1).flatten(1).contiguous()  # [D, 3 D]
            self._upsample_bias = upsample.bias.detach().repeat(UPSAMPLING)

    def convolved(self, hidden: Tensor, layout: Layout) -> Tensor:
        """Encoder rows [R, D] → the hidden layer [R, D]; a row sees its neighbours in its segment."""
        near = torch.cat([hidden, hidden.new_zeros(1, hidden.shape[1])])[layout.windows(self._left, self._right)]
        convolved: Tensor = torch._addmm_activation(self._window_bias, near.flatten(1), self._window)
        return convolved

    def intervals(self, convolved: Tensor, layout: Layout) -> Intervals:
        """When tokens fire, by segment."""
        logits = self._predictor.cif_output(convolved)[:, 0]
        lengths = layout.cumulative.diff().long()
        return self.rules.intervals(logits[layout.grid], layout.inside, lengths)

    def embeddings(self, hidden: Tensor, layout: Layout, intervals: Intervals, most: int) -> Tensor:
        """The acoustic embeddings of up to `most` tokens of each segment: float32 [B, most, D]."""
        padded = hidden[layout.grid].mul_(layout.inside[..., None])
        return self.rules.integrated(padded, intervals, most)

    def upsampled(self, hidden: Tensor, convolved: Tensor, layout: Layout, counts: Tensor) -> Tensor:
        """CIF weights at three times the frame rate, scaled to sum to each segment's count: float32 [B, 3 T]."""
        predictor = self._predictor
        source = convolved if predictor.use_cif1_cnn else hidden
        rows = torch.addmm(self._upsample_bias, source, self._upsample).view(-1, hidden.shape[1])  # [3 R, D]
        upsampled = layout.scaled(UPSAMPLING)
        if predictor.upsample_type == "cnn_blstm":
            order, steps, sizes = upsampled.steps()
            rows = predictor.blstm(PackedSequence(rows[order], sizes))[0].data  # [3 R, 2 D]
            logits = predictor.cif_output2(rows)[:, 0][steps]
        else:
            logits = predictor.cif_output2(rows)[:, 0]
        return self.rules.scaled(logits[upsampled.grid], upsampled.inside, counts)
