"""CT-Transformer in int8 on a CPU: FunASR's weights in the recogniser's packed encoder, without padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worker.engine.recognition.linear import INT8
from worker.engine.recognition.packed import Encoder


class Int8Punctuation:
    """The scores of a CTTransformer. Raises ModelUnavailable for an encoder that is not implemented."""

    def __init__(self, model: Any) -> None:
        self._embed = model.embed
        self._encoder = Encoder(model.encoder, INT8, "punctuation")
        self._output = INT8.linear(model.decoder)

    def __call__(self, windows: Sequence[Sequence[int]]) -> list[Tensor]:
        """Token ids of each window → scores, float32 [tokens, marks]; those of a window are the same in any batch."""
        lengths = [len(window) for window in windows]
        embedded = self._embed(torch.tensor(list(chain.from_iterable(windows))))
        hidden = self._encoder(embedded, np.cumsum([0, *lengths]))
        return list(torch.split(self._output(INT8.rows(hidden)), lengths))
