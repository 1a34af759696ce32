"""Trains the recogniser: a small BiCifParaformer of FunASR, with known word times as additional supervision.

Paraformer (arXiv 2206.08317) learns word positions from the number of words alone; here espeak-ng reports when
each was spoken, so three things are supervised directly and training takes a small fraction of the usual time:

- the token under every encoder frame (an auxiliary output, not exported),
- the running sum of the CIF weights, which determines where one token ends and the next begins,
- the running sum of the upsampled CIF weights of the timestamp head (arXiv 2301.12343): FunASR takes the place
  where it passes i as the start of token i, so it is trained to pass i there.

The last element of every target is `</s>` (`predictor_bias: 1`), as in the original model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from funasr.models.bicif_paraformer.model import BiCifParaformer
from funasr.models.paraformer.decoder import ParaformerSANMDecoder  # noqa: F401 (registers itself)
from funasr.models.sanm.encoder import SANMEncoder  # noqa: F401 (registers itself)
from torch import Tensor, nn
from torch.nn import functional

from training.batches import PADDING, STACKED, STRIDE, UPSAMPLED, Batch, Batches
from training.bundle import write_model
from training.corpus import MEL_BINS, Segment
from training.speech import SAMPLE_RATE
from training.text import token_list

WIDTH = 144
_MISPLACED = 0.5
"""From this mean error of the running sum, in tokens, an example's own CIF weights are not used."""
_CUT_FRAMES = 32
"""The timestamp head is trained on stretches of so many encoder frames."""
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
class Plan:
    """The training schedule; training ends when `steps` or `seconds` is reached, whichever comes first."""

    steps: int = 8000
    seconds: float = float("inf")
    frames_per_batch: int = 800
    peak_rate: float = 1.5e-3
    warmup_steps: int = 200
    export_seconds: float = 240.0
    resume: bool = False
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

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses by name.

        While the CIF weights of an example are far off, its decoder receives embeddings cut at the known word times.
        """
        encoded, _ = self.paraformer.encode(batch.features, batch.lengths)
        inside = torch.arange(encoded.shape[1])[None] < batch.lengths[:, None]
        encoded = encoded * inside[..., None]
        weights = self._weights(encoded) * inside
        sums = torch.cumsum(weights, 1)
        counts = batch.token_counts.float()
        misplaced = ((sums - batch.weight_sums).abs() * inside).sum(1) / batch.lengths
        scaled = sums * (counts / sums[:, -1])[:, None]
        scaled = torch.where((misplaced > _MISPLACED)[:, None], batch.weight_sums, scaled)
        embeddings = integrate_and_fire(encoded, scaled, batch.tokens.shape[1])
        scores = self.paraformer.decoder(encoded, batch.lengths, embeddings, batch.token_counts)[0]
        return {
            "token": functional.cross_entropy(
                scores.flatten(0, 1), batch.tokens.flatten(), ignore_index=PADDING, label_smoothing=0.1
            ),
            "frame": functional.cross_entropy(self.frame_output(encoded).flatten(0, 1), batch.frame_tokens.flatten()),
            "count": (sums[:, -1] / counts - 1).abs().mean(),
            "place": (misplaced / counts).mean() * 4,
            "time": self._time_loss(encoded.detach(), batch),
        }

    def _weights(self, encoded: Tensor) -> Tensor:
        """CIF weights per encoder frame, [B, T]."""
        predictor = self.paraformer.predictor
        hidden = torch.relu(predictor.cif_conv1d(predictor.pad(encoded.transpose(1, 2))))
        return torch.sigmoid(predictor.cif_output(hidden.transpose(1, 2))).squeeze(-1)

    def _time_loss(self, encoded: Tensor, batch: Batch) -> Tensor:
        """The error of the timestamp head on a short excerpt of each example, because its LSTM is slow on a CPU."""
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


def train(directory: Path, segments: Sequence[Segment], plan: Plan) -> float:
    """Train on `segments`, write the model to `directory` periodically and at the end; returns the seconds used."""
    torch.manual_seed(plan.seed)
    batches = Batches(segments, plan.frames_per_batch, plan.seed)
    model = AlignedParaformer(len(token_list()))
    if plan.resume:
        model.paraformer.load_state_dict(torch.load(directory / "model.pt"))
    optimiser = torch.optim.Adam(model.parameters(), lr=plan.peak_rate, betas=(0.9, 0.98))
    began = exported = time.monotonic()
    model.train()
    for step, batch in enumerate(batches):
        progress = max(step / plan.steps, (time.monotonic() - began) / plan.seconds)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = plan.peak_rate * min((step + 1) / plan.warmup_steps, 1.02 - progress)
        losses = model(batch)
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
