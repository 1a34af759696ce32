"""CAM++ embeddings of windows of speech, equal to FunASR's `CAMPPlus` on the same windows.

Paper: Wang et al., CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking,
Interspeech 2023. Features as in FunASR's `campplus/utils.py` (`extract_feature`): 80 Kaldi filter banks of samples
in -1..1 with a Povey window, minus their mean over the window.

Networks run over a fixed number of windows at a time, the last ones filled with silence: kernels are chosen by shape,
and an embedding must not depend on how many others are computed beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.fusion import fuse_conv_bn_eval

from worker.engine.features import FULL_SCALE, POVEY, fbank_frames, frames_of
from worker.engine.recognition.compute_threads import ComputeThreads
from worker.engine.speakers.windows import EMBEDDING, WINDOW_SAMPLES, Samples, cut, spans

TILE_CPU = 4
TILE_GPU = 64

Embeddings = NDArray[np.float16]


class Embedder:
    """A CAM++ network on one device. `module` is FunASR's, in evaluation mode; it is changed: batch norm is folded."""

    def __init__(self, module: Any, device: torch.device, threads: ComputeThreads) -> None:
        self._network = folded(module)
        self._device = device
        self._threads = threads
        self._tile = TILE_CPU if device.type == "cpu" else TILE_GPU
        if device.type == "cpu":
            self._network.to(memory_format=torch.channels_last)

    def embed(self, segments: Sequence[Samples]) -> list[Embeddings]:
        """The embeddings of the windows of each segment (int16 at 16 kHz), float16 [windows, 192], not normalised."""
        windows = [cut(segment, spans(len(segment))) for segment in segments]
        every = np.concatenate(windows)
        tiles = [every[start : start + self._tile] for start in range(0, len(every), self._tile)]
        done = self._threads.run(self._embed_tiles, tiles, size=len)
        rows = np.concatenate([np.zeros((0, EMBEDDING), np.float16), *done])
        ends = np.cumsum([len(each) for each in windows])
        return cast(list[Embeddings], np.split(rows, ends[:-1]))

    def _embed_tiles(self, tiles: list[Samples]) -> list[Embeddings]:
        return [self._embed_tile(tile) for tile in tiles]

    @torch.inference_mode()
    def _embed_tile(self, windows: Samples) -> Embeddings:
        filled = np.zeros((self._tile, WINDOW_SAMPLES), np.int16)
        filled[: len(windows)] = windows
        features = window_features(torch.from_numpy(filled).to(self._device))
        embeddings = self._network(features)[: len(windows)]
        return cast(Embeddings, embeddings.to(torch.float16).cpu().numpy())


def window_features(windows: torch.Tensor) -> torch.Tensor:
    """Normalised filter banks, float32 [n, 148, 80], of int16 windows [n, 24000]."""
    frames = frames_of(windows.float() / FULL_SCALE)
    energies = fbank_frames(frames.reshape(-1, frames.shape[-1]), POVEY).view(*frames.shape[:2], -1)
    return energies - energies.mean(dim=1, keepdim=True)


def folded(module: Any) -> Any:
    """The same network with each batch norm that directly follows a convolution folded into it."""
    for part in module.modules():
        kind = type(part).__name__
        if kind in ("FCM", "BasicResBlock"):
            for number in ("1", "2"):
                _fold(part, f"conv{number}", part, f"bn{number}")
        if kind == "BasicResBlock" and len(part.shortcut) == 2:
            _fold(part.shortcut, "0", part.shortcut, "1")
        if kind == "CAMDenseTDNNLayer":
            _fold(part, "linear1", part.nonlinear2, "batchnorm")
        if kind in ("TDNNLayer", "DenseLayer"):
            _fold(part, "linear", part.nonlinear, "batchnorm")
    return module


def _fold(parent: Any, convolution: str, holder: Any, norm: str) -> None:
    before, after = getattr(parent, convolution), getattr(holder, norm, None)
    if isinstance(after, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)) and before.out_channels == after.num_features:
        setattr(parent, convolution, fuse_conv_bn_eval(before, after))
        setattr(holder, norm, torch.nn.Identity())
