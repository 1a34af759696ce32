"""Trains the recogniser: FunASR's BiCifParaformer, small, with known word times as an extra teacher.

Paraformer (arXiv 2206.08317) learns where words are from their number alone; here espeak-ng tells when each
was spoken, so three things are supervised directly and training needs a small part of the usual time:

- the token under every encoder frame (an auxiliary output, not exported),
- the running sum of the CIF weights, which says where one token ends and the next begins,
- the running sum of the upsampled CIF weights of the timestamp head (arXiv 2301.12343): FunASR takes the place
  where it passes i for the start of token i, so that is where it is taught to pass i.

The last element of every target is `</s>` (`predictor_bias: 1`), as in the original model.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from funasr.models.bicif_paraformer.model import BiCifParaformer
from funasr.models.paraformer.decoder import ParaformerSANMDecoder  # noqa: F401 (registers itself)
from funasr.models.sanm.encoder import SANMEncoder  # noqa: F401 (registers itself)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.bundle import write_model
from training.corpus import FRAME_CENTRE_MS, FRAME_MS, MEL_BINS, Segment, normalisation, stack_frames
from training.speech import SAMPLE_RATE
from training.text import token_list

STACKED, STRIDE = 7, 6
WIDTH = 144
UPSAMPLED = 3
END_ID = 2
PADDING = -1

_STACKED_MS = STRIDE * FRAME_MS  # one encoder frame
_UNIT_MS = _STACKED_MS / UPSAMPLED  # one upsampled frame
_UNIT_DELAY = 2.0
"""FunASR reads a crossing in unit u as (u - 1.5) * 20 ms; a crossing at x lies in unit floor(x), x - 0.5 on average."""
_HALF_PEAK_UNITS = 2.0
_CUT_FRAMES = 32
"""The timestamp head is trained on stretches of so many encoder frames."""
_END_MS = 120.0
"""How long after the last word the weight of `</s>` lies."""

CONFIG: dict[str, Any] = {
    "model": "BiCifParaformer",
    "model_conf": {
        "ctc_weight": 0.0,
        "lsm_weight": 0.1,
        "length_normalized_loss": True,
        "predictor_weight": 1.0,
        "predictor_bias": 1,
        "sampling_ratio": 0.0,
    },
    "encoder": "SANMEncoder",
    "encoder_conf": {
        "output_size": WIDTH,
        "attention_heads": 4,
        "linear_units": 576,
        "num_blocks": 8,
        "dropout_rate": 0.05,
        "positional_dropout_rate": 0.05,
        "attention_dropout_rate": 0.05,
        "input_layer": "pe",
        "pos_enc_class": "SinusoidalPositionEncoder",
        "normalize_before": True,
        "kernel_size": 11,
        "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
    },
    "decoder": "ParaformerSANMDecoder",
    "decoder_conf": {
        "attention_heads": 4,
        "linear_units": 576,
        "num_blocks": 4,
        "dropout_rate": 0.05,
        "positional_dropout_rate": 0.05,
        "self_attention_dropout_rate": 0.05,
        "src_attention_dropout_rate": 0.05,
        "att_layer_num": 4,
        "kernel_size": 11,
        "sanm_shfit": 0,
    },
    "predictor": "CifPredictorV3",
    "predictor_conf": {
        "idim": WIDTH,
        "threshold": 1.0,
        "l_order": 1,
        "r_order": 1,
        "tail_threshold": 0.45,
        "smooth_factor2": 0.5,
        "noise_threshold2": 0.02,
        "upsample_times": UPSAMPLED,
        "use_cif1_cnn": False,
        "upsample_type": "cnn_blstm",
    },
    "frontend": "WavFrontend",
    "frontend_conf": {
        "fs": SAMPLE_RATE,
        "window": "hamming",
        "n_mels": MEL_BINS,
        "frame_length": 25,
        "frame_shift": 10,
        "dither": 0.0,
        "lfr_m": STACKED,
        "lfr_n": STRIDE,
    },
    "tokenizer": "CharTokenizer",
    "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
}


@dataclass(frozen=True)
class Batch:
    """Padded tensors of one batch; B examples, T encoder frames, N tokens with `</s>`."""

    features: Tensor  # [B, T, 560] float32, normalised
    lengths: Tensor  # [B] int64
    tokens: Tensor  # [B, N] int64, PADDING behind the end
    token_counts: Tensor  # [B] int64
    frame_tokens: Tensor  # [B, T] int64: the token under each frame, 0 for silence, -100 for padding
    weight_sums: Tensor  # [B, T] float32: the running sum of CIF weights after each frame
    unit_sums: Tensor  # [B, 3T] float32: the same for the timestamp head


@dataclass(frozen=True)
class Plan:
    """How long and how to train; whichever of `steps` and `seconds` is used up first ends the training."""

    steps: int = 4000
    seconds: float = float("inf")
    frames_per_batch: int = 1200
    peak_rate: float = 1.5e-3
    warmup_steps: int = 300
    oracle_steps: int = 300
    export_seconds: float = 240.0
    seed: int = 11


class AlignedParaformer(nn.Module):
    """A BiCifParaformer with the auxiliary frame output, and the losses of one batch."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        parts = {name: CONFIG[name] for name in CONFIG if not name.startswith(("front", "token", "model"))}
        self.paraformer = BiCifParaformer(
            vocab_size=vocabulary_size, input_size=MEL_BINS * STACKED, **CONFIG["model_conf"], **parts
        )
        self.frame_output = nn.Linear(WIDTH, vocabulary_size)
        self.vocabulary_size = vocabulary_size

    def forward(self, batch: Batch, use_oracle: bool) -> dict[str, Tensor]:
        """The losses by name; with `use_oracle` the decoder gets embeddings cut by the known word times."""
        encoded, _ = self.paraformer.encode(batch.features, batch.lengths)
        inside = torch.arange(encoded.shape[1])[None] < batch.lengths[:, None]
        encoded = encoded * inside[..., None]
        weights = self._weights(encoded) * inside
        sums = torch.cumsum(weights, 1)
        counts = batch.token_counts.float()
        scaled = batch.weight_sums if use_oracle else sums * (counts / sums[:, -1])[:, None]
        embeddings = integrate_and_fire(encoded, scaled, batch.tokens.shape[1])
        scores = self.paraformer.decoder(encoded, batch.lengths, embeddings, batch.token_counts)[0]
        kept = inside.sum()
        return {
            "token": functional.cross_entropy(
                scores.flatten(0, 1), batch.tokens.flatten(), ignore_index=PADDING, label_smoothing=0.1
            ),
            "frame": functional.cross_entropy(self.frame_output(encoded).flatten(0, 1), batch.frame_tokens.flatten()),
            "count": (sums[:, -1] - counts).abs().mean() * 0.2,
            "place": 0.3 * ((sums - batch.weight_sums).abs() * inside).sum() / kept,
            "time": self._time_loss(encoded.detach(), batch),
        }

    def _weights(self, encoded: Tensor) -> Tensor:
        """CIF weights per encoder frame, [B, T]."""
        predictor = self.paraformer.predictor
        hidden = torch.relu(predictor.cif_conv1d(predictor.pad(encoded.transpose(1, 2))))
        return torch.sigmoid(predictor.cif_output(hidden.transpose(1, 2))).squeeze(-1)

    def _time_loss(self, encoded: Tensor, batch: Batch) -> Tensor:
        """The error of the timestamp head on a short cut of each example: its LSTM is slow on a CPU."""
        lengths = batch.lengths
        size = min(_CUT_FRAMES, int(lengths.min()))
        begins = (torch.rand(len(lengths)) * (lengths - size + 1)).long()
        frames = begins[:, None] + torch.arange(size)
        units = begins[:, None] * UPSAMPLED + torch.arange(size * UPSAMPLED)
        predictor = self.paraformer.predictor
        cut = encoded.gather(1, frames[..., None].expand(-1, -1, WIDTH))
        upsampled = predictor.upsample_cnn(cut.transpose(1, 2)).transpose(1, 2)
        weights = torch.sigmoid(predictor.cif_output2(predictor.blstm(upsampled)[0])).squeeze(-1)
        weights = torch.relu(weights * predictor.smooth_factor2 - predictor.noise_threshold2)
        wanted = torch.diff(batch.unit_sums, dim=1, prepend=torch.zeros(len(lengths), 1)).gather(1, units)
        sum_error = (torch.cumsum(weights, 1) - torch.cumsum(wanted, 1)).abs().mean()
        return 0.3 * sum_error + (weights - wanted).abs().mean()


def integrate_and_fire(encoded: Tensor, sums: Tensor, count: int) -> Tensor:
    """Continuous integrate-and-fire (arXiv 1905.11235) in one step.

    `encoded` [B, T, D] and the running sums of the weights [B, T] → embeddings [B, count, D]: element i
    averages the frames in which the sum runs from i to i + 1.
    """
    before = functional.pad(sums, (1, 0))[:, :-1]
    edges = torch.arange(count)[None, :, None]
    overlap = torch.minimum(sums[:, None], edges + 1) - torch.maximum(before[:, None], edges)
    return torch.bmm(overlap.clamp(min=0), encoded)


def weight_sums(spans: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """What the running sum of CIF weights should be after each of `frames` encoder frames, shape [frames].

    It rises by one over the time of each token, then by one for `</s>` within 120 ms of the end.
    """
    places = (spans + (_STACKED_MS / 2 - FRAME_CENTRE_MS)) / _STACKED_MS
    end = min(float(places[-1, 1]), frames - 1.0)
    places = np.minimum(places.flatten(), end)
    places = np.append(places, min(end + _END_MS / _STACKED_MS, frames))
    values = np.append((np.arange(len(spans))[:, None] + (0, 1)).flatten(), len(spans) + 1)
    return np.interp(np.arange(1, frames + 1), places, values, left=0).astype(np.float32)


def unit_sums(spans: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """The same for the timestamp head, shape [3 * frames]: it passes i where token i starts, N + 1 at the end.

    Half a unit of weight lies on either side of each start, so that a small error of the sum moves a time a little
    and never by a token.
    """
    units = frames * UPSAMPLED
    starts = np.append(spans[:, 0], spans[-1, 1]) / _UNIT_MS + _UNIT_DELAY
    half = np.minimum(_HALF_PEAK_UNITS, np.diff(starts) / 2)
    count = len(starts)
    order = np.arange(1, count)
    places = np.concatenate([[max(starts[0] - 2 * _HALF_PEAK_UNITS, 0)], starts, starts[:-1] + half, starts[1:] - half])
    values = np.concatenate([[0], np.arange(1, count + 1), order + 0.5, order + 0.5])
    ranked = np.lexsort((values, places))
    return np.interp(np.arange(1, units + 1), places[ranked], values[ranked], left=0).astype(np.float32)


def frame_tokens(spans: NDArray[np.float32], tokens: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """The token spoken at the middle of each encoder frame, 0 where nobody speaks; shape [frames]."""
    middles = np.arange(frames) * _STACKED_MS + FRAME_CENTRE_MS
    index = np.searchsorted(spans[:, 0], middles, side="right") - 1
    spoken = (index >= 0) & (middles < spans[np.maximum(index, 0), 1])
    return np.where(spoken, tokens[np.maximum(index, 0)], 0)


class Batches:
    """Endless shuffled batches of segments of similar length, changed a little each time."""

    def __init__(self, segments: Sequence[Segment], frames_per_batch: int, seed: int) -> None:
        self._segments = segments
        self._generator = np.random.default_rng(seed)
        self._frames_per_batch = frames_per_batch
        self.shift, self.scale = normalisation(
            stack_frames(segment.features, STACKED, STRIDE) for segment in segments[:1500]
        )

    def __iter__(self) -> Iterator[Batch]:
        while True:
            noisy = [len(s.features) * self._generator.uniform(0.9, 1.1) for s in self._segments]
            groups: list[list[int]] = [[]]
            for index in np.argsort(noisy):
                longest = -(-len(self._segments[index].features) // STRIDE)
                if groups[-1] and (len(groups[-1]) + 1) * longest > self._frames_per_batch:
                    groups.append([])
                groups[-1].append(int(index))
            for place in self._generator.permutation(len(groups)):
                yield self._collate([self._changed(self._segments[index]) for index in groups[place]])

    def _changed(self, segment: Segment) -> Segment:
        """A random start within one encoder frame, a random level, and masked bands of time and frequency."""
        generator = self._generator
        skip = int(generator.integers(0, STRIDE))
        features = segment.features[skip:].astype(np.float32) + np.float32(generator.normal(0, 0.5))
        if generator.random() < 0.7:
            start, width = generator.integers(0, MEL_BINS - 12), generator.integers(1, 12)
            features[:, start : start + width] = features.mean()
        if generator.random() < 0.5:
            start, width = generator.integers(0, max(len(features) - 12, 1)), generator.integers(1, 12)
            features[start : start + width] = features.mean(0)
        spans = np.clip(segment.spans - np.float32(skip * FRAME_MS), 0, None)
        return Segment(features.astype(np.float16), segment.tokens, spans)

    def _collate(self, segments: list[Segment]) -> Batch:
        stacked = [stack_frames(s.features, STACKED, STRIDE).astype(np.float32) for s in segments]
        frames = [len(features) for features in stacked]
        tokens = [np.append(s.tokens, END_ID) for s in segments]
        spans = [s.spans for s in segments]
        shift, scale = self.shift.astype(np.float32), self.scale.astype(np.float32)
        return Batch(
            features=_padded([(features + shift) * scale for features in stacked], 0),
            lengths=torch.tensor(frames),
            tokens=_padded(tokens, PADDING),
            token_counts=torch.tensor([len(t) for t in tokens]),
            frame_tokens=_padded(
                [frame_tokens(s.spans, s.tokens, n) for s, n in zip(segments, frames, strict=True)], -100
            ),
            weight_sums=_padded([weight_sums(s, n) for s, n in zip(spans, frames, strict=True)], None),
            unit_sums=_padded([unit_sums(s, n) for s, n in zip(spans, frames, strict=True)], None),
        )


def _padded(arrays: Sequence[NDArray[Any]], value: float | None) -> Tensor:
    """Arrays [n, ...] → [B, max n, ...], padded with `value` or, for None, with each array's last element."""
    longest = max(map(len, arrays))
    rows = []
    for array in arrays:
        widths = [(0, longest - len(array))] + [(0, 0)] * (array.ndim - 1)
        rows.append(
            np.pad(array, widths, mode="edge") if value is None else np.pad(array, widths, constant_values=value)
        )
    return torch.from_numpy(np.stack(rows))


def train(directory: Path, segments: Sequence[Segment], plan: Plan) -> float:
    """Train on `segments`, write the model to `directory` now and then and at the end; returns the seconds used."""
    torch.manual_seed(plan.seed)
    batches = Batches(segments, plan.frames_per_batch, plan.seed)
    model = AlignedParaformer(len(token_list()))
    optimiser = torch.optim.Adam(model.parameters(), lr=plan.peak_rate, betas=(0.9, 0.98))
    began = exported = time.monotonic()
    model.train()
    for step, batch in enumerate(batches):
        progress = max(step / plan.steps, (time.monotonic() - began) / plan.seconds)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = plan.peak_rate * min((step + 1) / plan.warmup_steps, 1.02 - progress)
        losses = model(batch, use_oracle=step < plan.oracle_steps)
        loss = sum(losses.values(), torch.zeros(()))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        if step % 25 == 0:
            described = " ".join(f"{name} {value.item():.3f}" for name, value in losses.items())
            print(f"{time.monotonic() - began:6.0f} s  step {step}  {progress:.0%}  {described}", flush=True)
        if time.monotonic() - exported > plan.export_seconds:
            export(directory, model, batches)
            exported = time.monotonic()
    export(directory, model, batches)
    return time.monotonic() - began


def export(directory: Path, model: AlignedParaformer, batches: Batches) -> None:
    """Write the model without the auxiliary output."""
    write_model(
        directory,
        CONFIG,
        model.paraformer.state_dict(),
        "auto-speech-recognition",
        tokens=token_list(),
        mvn=(batches.shift, batches.scale),
    )
