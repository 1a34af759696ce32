"""SenseVoice's networks, from features to the best token of each frame: padded for a GPU, packed for a CPU.

Four frames stand before those of a segment: the questions for language, event, emotion and spelling, each a row of
the model's embedding. The tokens at these frames are the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import ModelUnavailable
from worker.engine.recognition.linear import Arithmetic
from worker.engine.recognition.networks import best, bounds_of
from worker.engine.recognition.packed import Bounds, EncoderLayer

QUERIES = 4
"""Frames before the speech."""

LANGUAGES = {"auto": 0, "zh": 3, "en": 4, "yue": 7, "ja": 11, "ko": 12}
"""Languages → their rows of the embedding (`lid_dict` of FunASR's class)."""

_EVENT_AND_EMOTION, _WITHOUT_ITN = (1, 2), 15

HEAD_ROWS = 512
"""Frames whose logits exist at a time: 51 MB for the published vocabulary of 25055."""


class FrameScores(NamedTuple):
    """The best token of each frame, for the segments of a batch, on the host."""

    lengths: list[int]
    """Frames per segment, with the four of the queries."""
    ids: NDArray[np.int64]
    """[sum of lengths]: segment after segment."""
    log_probabilities: NDArray[np.float64]
    """[sum of lengths]."""


class Networks(Protocol):
    """Encoder and CTC head."""

    description: str
    """Their layout, for the log: `packed`, or `padded` and why."""

    def __call__(self, features: Tensor, lengths: Tensor, languages: Sequence[str]) -> FrameScores:
        """Features float32 [B, T, F], their lengths int64 [B], and a key of LANGUAGES for each segment → scores."""
        ...


class PaddedNetworks:
    """FunASR's own modules over padded batches, on any device; one copy to the host for each batch.

    In `bf16` and `fp16` the matrix products are computed in 16 bits, everything between them in float32.
    """

    description = "padded: SenseVoice has no other networks for a GPU"

    def __init__(self, model: Any, device: torch.device, precision: str = "fp32") -> None:
        self._model = model
        self._device = device
        self._dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)

    @torch.inference_mode()
    def __call__(self, features: Tensor, lengths: Tensor, languages: Sequence[str]) -> FrameScores:
        """See `Networks`."""
        queries = _queries(self._model, languages)
        inputs = torch.cat([queries, features.to(self._device)], dim=1)
        frames = lengths.to("cpu", torch.int64) + QUERIES
        on_device = frames.to(self._device)
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not None):
            encoded, _ = self._model.encoder(inputs, on_device)
            inside = torch.arange(encoded.shape[1], device=self._device) < on_device[:, None]
            ids, log_probabilities = _best(self._model.ctc.ctc_lo, encoded[inside])
        # Token ids are below 2**24 and stay exact as float32.
        host = torch.stack([ids.float(), log_probabilities]).cpu().numpy()
        return FrameScores(frames.tolist(), host[0].astype(np.int64), host[1].astype(np.float64))


class PackedNetworks:
    """FunASR's weights over packed batches (CPU) (`worker.engine.recognition.packed`). Thread-safe."""

    description = "packed"

    def __init__(self, model: Any, arithmetic: Arithmetic) -> None:
        self._model = model
        self._encoder = Encoder(model.encoder, arithmetic)
        self._head = arithmetic.linear(model.ctc.ctc_lo)
        self._rows = arithmetic.rows

    @torch.inference_mode()
    def __call__(self, features: Tensor, lengths: Tensor, languages: Sequence[str]) -> FrameScores:
        """See `Networks`."""
        queries = _queries(self._model, languages)
        segments = zip(queries, features, lengths.tolist(), strict=True)
        rows = torch.cat([part for query, item, length in segments for part in (query, item[:length])])
        frames = (lengths + QUERIES).tolist()
        hidden = self._encoder(rows, bounds_of(frames))
        ids, log_probabilities = _best(lambda chunk: self._head(self._rows(chunk)), hidden)
        return FrameScores(frames, ids.numpy(), log_probabilities.numpy().astype(np.float64))


class Encoder:
    """FunASR's SenseVoiceEncoderSmall. Raises ModelUnavailable for a variant that is not implemented here."""

    def __init__(self, encoder: Any, arithmetic: Arithmetic) -> None:
        layers = [*encoder.encoders0, *encoder.encoders, *encoder.tp_encoders]
        known = type(encoder).__name__ == "SenseVoiceEncoderSmall" and encoder.normalize_before
        if not known or any(layer.concat_after or not layer.normalize_before for layer in layers):
            raise ModelUnavailable("The recognition model's encoder is of an unsupported kind.")
        self._scale = float(encoder.output_size()) ** 0.5
        self._positions = encoder.embed
        self._first = [EncoderLayer(layer, arithmetic) for layer in (*encoder.encoders0, *encoder.encoders)]
        self._second = [EncoderLayer(layer, arithmetic) for layer in encoder.tp_encoders]
        self._norms = encoder.after_norm, encoder.tp_norm

    def __call__(self, features: Tensor, bounds: Bounds) -> Tensor:
        """Inputs float32 [R, F] of packed segments → hidden rows [R, D]."""
        lengths = np.diff(bounds)
        numbers = torch.arange(1, int(lengths.max()) + 1)[None]
        positions = self._positions.encode(numbers, features.shape[1], features.dtype)[0]
        rows = features * self._scale + torch.cat([positions[:length] for length in lengths])
        for layers, norm in zip((self._first, self._second), self._norms, strict=True):
            for layer in layers:
                rows = layer(rows, bounds)
            rows = norm(rows)
        hidden: Tensor = rows
        return hidden


def _queries(model: Any, languages: Sequence[str]) -> Tensor:
    """The frames before each segment, float32 [B, 4, F]: language, event, emotion, spelling.

    Spelling is always asked for as spoken: numbers and punctuation are the business of the pipeline.
    """
    rows = [[LANGUAGES[language], *_EVENT_AND_EMOTION, _WITHOUT_ITN] for language in languages]
    queries: Tensor = model.embed.weight[torch.tensor(rows, device=model.embed.weight.device)]
    return queries


def _best(head: Callable[[Tensor], Tensor], rows: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden rows [R, D] → the best token of each (int64 [R]) and its log-probability (float32 [R])."""
    found = [best(head(chunk).float()) for chunk in torch.split(rows, HEAD_ROWS)]
    return torch.cat([ids for ids, _ in found]), torch.cat([logs for _, logs in found])
