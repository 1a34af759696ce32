"""Kaldi filter banks, frame stacking and normalisation, equal to FunASR's frontends with dither 0.

Everything is torch and runs on any device. A frame's value depends only on its own 400
samples: frames are computed in tiles of a fixed shape, so neither the batch, the length of the
segment nor the block size of a stream can change the order in which floats are added.

The normalised features differ from kaldi-native-fbank's by less than 1e-3. Raw log energies 90 dB below the
loudest of their frame are rounding noise of a float32 FFT in both, and differ slightly more.

Formulas: Kaldi `feat/feature-window.cc` (remove the mean, pre-emphasis 0.97, Hamming window, zero
padding to a power of two), `feat/mel-computations.cc` (triangular filters on the scale
1127 ln(1 + f/700), from 20 Hz to half the rate) and `feat/feature-fbank.cc` (power spectrum, floor at
the float epsilon, natural logarithm). Low frame rate: Pundak and Sainath, Interspeech 2016.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from common.errors import ModelUnavailable

SAMPLE_RATE = 16_000
FRAME_SAMPLES, SHIFT_SAMPLES = 400, 160
MEL_BINS = 80
PREEMPHASIS = 0.97
LOW_HZ = 20.0
FULL_SCALE = 32_768.0
HAMMING, POVEY = "hamming", "povey"
"""Windows over a frame: Hamming for recognition and VAD; Kaldi's default, a Hann window to the power of 0.85, for
speakers."""
# Rows of one FFT call. Small enough for a CPU's second-level cache; a GPU needs far larger launches.
TILE_CPU = 256
TILE_GPU = 16_384

Int16 = npt.NDArray[np.int16]
Samples = npt.NDArray[np.int16] | npt.NDArray[np.float32]


class Cmvn(NamedTuple):
    """Normalisation `(x + shift) * scale`; both float32 [D]."""

    shift: torch.Tensor
    scale: torch.Tensor

    def to(self, device: torch.device | str) -> Cmvn:
        """The same values on another device."""
        return Cmvn(self.shift.to(device), self.scale.to(device))

    def apply(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise float32 [..., D]; returns a new tensor."""
        return (features + self.shift).mul_(self.scale)


def load_cmvn(path: Path | str) -> Cmvn:
    """Read a Kaldi nnet file (`am.mvn`): the vectors after <AddShift> and <Rescale>.

    Raises ModelUnavailable if the file is not one.
    """
    try:
        tokens = Path(path).read_text(encoding="utf-8").split()
        shift = _vector_after(tokens, "<AddShift>")
        scale = _vector_after(tokens, "<Rescale>")
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"cannot read the normalisation file {path}: {error}") from error
    if shift.shape != scale.shape:
        raise ModelUnavailable(f"{path}: {len(shift)} shifts but {len(scale)} scales")
    return Cmvn(shift, scale)


def _vector_after(tokens: list[str], name: str) -> torch.Tensor:
    opening = tokens.index("[", tokens.index(name))
    closing = tokens.index("]", opening)
    return torch.tensor([float(token) for token in tokens[opening + 1 : closing]], dtype=torch.float32)


def frame_count(samples: int) -> int:
    """Frames in `samples` samples: frame k covers [160 k, 160 k + 400), partial frames are dropped."""
    return 0 if samples < FRAME_SAMPLES else 1 + (samples - FRAME_SAMPLES) // SHIFT_SAMPLES


class _Tables(NamedTuple):
    window: torch.Tensor  # float32 [frame]
    filters: torch.Tensor  # float32 [fft + 2, mel], each filter twice: for real and imaginary parts
    fft: int


@lru_cache(maxsize=64)
def _tables(frame: int, device: str, shape: str) -> _Tables:
    fft = 1 << (frame - 1).bit_length()
    angle = 2 * math.pi * torch.arange(frame, dtype=torch.float64) / max(frame - 1, 1)
    hamming, povey = 0.54 - 0.46 * torch.cos(angle), (0.5 - 0.5 * torch.cos(angle)).pow(0.85)
    window = (hamming if shape == HAMMING else povey).float()
    return _Tables(window.to(device), _mel_filters(fft).repeat_interleave(2, dim=0).to(device), fft)


def _mel_filters(fft: int) -> torch.Tensor:
    """float32 [fft / 2 + 1, 80]; the last row (half the rate) is zero, as in Kaldi.

    Computed in float32 like Kaldi's own: exact triangles would lie 1e-5 away from its.
    """
    low, high = _mel(np.float32(LOW_HZ)), _mel(np.float32(SAMPLE_RATE / 2))
    step = (high - low) / np.float32(MEL_BINS + 1)
    left = low + np.arange(MEL_BINS, dtype=np.float32) * step
    center = low + np.arange(1, MEL_BINS + 1, dtype=np.float32) * step
    right = low + np.arange(2, MEL_BINS + 2, dtype=np.float32) * step
    mel = _mel(np.arange(fft // 2, dtype=np.float32) * np.float32(SAMPLE_RATE / fft))[:, None]
    weights = np.where(mel <= center, (mel - left) / (center - left), (right - mel) / (right - center))
    weights = np.where((mel > left) & (mel < right), weights, np.float32(0))
    return torch.from_numpy(np.vstack([weights, np.zeros((1, MEL_BINS), np.float32)]))


def _mel(hertz: npt.NDArray[np.float32] | np.float32) -> npt.NDArray[np.float32]:
    return np.asarray(np.float32(1127) * np.log(np.float32(1) + hertz / np.float32(700)), np.float32)


def frames_of(waveforms: torch.Tensor) -> torch.Tensor:
    """The frames of equally long waveforms, float32 [B, N] → [B, frame_count(N), 400], as a view."""
    return waveforms.unfold(1, FRAME_SAMPLES, SHIFT_SAMPLES)


def fbank_frames(frames: torch.Tensor, window: str = HAMMING) -> torch.Tensor:
    """Log-mel energies, float32 [N, 80], of float32 frames [N, L] in 16-bit scale (L is 400 except for tiny clips)."""
    if frames.shape[0] == 0:
        return frames.new_empty(0, MEL_BINS)
    tile = TILE_CPU if frames.device.type == "cpu" else TILE_GPU
    tables = _tables(frames.shape[1], str(frames.device), window)
    rows = [_tile_fbank(part, tile, tables) for part in torch.split(frames, tile)]
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def _tile_fbank(frames: torch.Tensor, tile: int, tables: _Tables) -> torch.Tensor:
    count, size = frames.shape
    centered = frames.new_zeros(tile, size)
    torch.sub(frames, frames.mean(dim=1, keepdim=True), out=centered[:count])
    padded = frames.new_zeros(tile, tables.fft)
    emphasised = padded[:, :size]
    torch.sub(centered[:, 1:], centered[:, :-1], alpha=PREEMPHASIS, out=emphasised[:, 1:])
    torch.sub(centered[:, 0], centered[:, 0], alpha=PREEMPHASIS, out=emphasised[:, 0])
    emphasised *= tables.window
    squares = torch.view_as_real(torch.fft.rfft(padded)).square_().view(tile, -1)
    energies = squares @ tables.filters
    return energies.clamp_(min=torch.finfo(torch.float32).eps).log_()[:count]


def stacked(
    frames: torch.Tensor, starts: torch.Tensor, lengths: torch.Tensor, rows: int, m: int, n: int
) -> torch.Tensor:
    """Stack m frames around every n-th one, the first and last frame of an item repeated at its edges.

    frames: float32 [F, D], one item after another; starts and lengths: int64 [B], each item's first frame and their
    number. Returns float32 [B, rows, m D]; what is beyond the ceil(length / n) rows of an item has no meaning.
    """
    if rows == 0:
        return frames.new_zeros(len(starts), 0, m * frames.shape[1])
    wanted = n * torch.arange(rows, device=frames.device)[:, None] + torch.arange(m, device=frames.device)
    wanted = (wanted - (m - 1) // 2).clamp_(min=0)[None]
    index = starts[:, None, None] + torch.minimum(wanted, (lengths - 1).clamp(min=0)[:, None, None])
    return frames[index].flatten(2)


def uploaded(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copy an array to a device; to a GPU from pinned memory, so that the host does not wait."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def scaled(samples: Samples) -> npt.NDArray[np.float32]:
    """Samples in 16-bit scale as float32 [n]; float input is assumed to lie in [-1, 1]."""
    wide = samples.astype(np.float32)
    return wide if samples.dtype == np.int16 else wide * np.float32(FULL_SCALE)


class AsrFrontend:
    """Converts audio segments to Paraformer's input; each segment equals FunASR's WavFrontend on it alone."""

    def __init__(self, cmvn: Cmvn | None, *, m: int = 7, n: int = 6, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.cmvn = cmvn.to(self.device) if cmvn is not None else None
        self.m, self.n = m, n

    def __call__(self, segments: Sequence[Samples]) -> tuple[torch.Tensor, torch.Tensor]:
        """int16 (or float32 in [-1, 1]) segments [n_i] to (float32 [B, T, m * 80], int64 lengths [B]).

        Zero beyond each length. The features lie on the frontend's device, the lengths on the host.
        """
        if not segments:
            empty = torch.zeros(0, 0, self.m * MEL_BINS, device=self.device)
            return empty, torch.zeros(0, dtype=torch.int64)
        energies, places = self._energies(segments)
        starts, counts = uploaded(places, self.device)
        lengths = -(-places[1] // self.n)
        features = stacked(energies, starts, counts, int(lengths.max()), self.m, self.n)
        if self.cmvn is not None:
            features = self.cmvn.apply(features)
        inside = uploaded(np.arange(features.shape[1]) < lengths[:, None], self.device)
        return features.mul_(inside[..., None]), torch.from_numpy(lengths)

    def _energies(self, segments: Sequence[Samples]) -> tuple[torch.Tensor, npt.NDArray[np.int64]]:
        """The frames of all segments, float32 [F, 80], and int64 [2, B]: each segment's first one and their number.

        The segments are one signal, so that padding costs nothing whatever their lengths, and each starts at a
        multiple of a frame's shift. Frames across a border belong to no segment.
        """
        counts = [frame_count(len(segment)) for segment in segments]
        signal, starts = _joined([segment for segment, count in zip(segments, counts, strict=True) if count])
        wave = uploaded(signal, self.device).float()
        energies = [fbank_frames(wave.unfold(0, FRAME_SAMPLES, SHIFT_SAMPLES))] if starts else []
        known, total, firsts = iter(starts), sum(map(len, energies)), []
        for number, segment in enumerate(segments):
            if counts[number]:
                firsts.append(next(known))
                continue
            energies.append(self._tiny(scaled(segment)))
            firsts.append(total)
            counts[number] = len(energies[-1]) if len(segment) > 1 else 0
            total += len(energies[-1])
        return energies[0] if len(energies) == 1 else torch.cat(energies), np.array([firsts, counts])

    def _tiny(self, wave: npt.NDArray[np.float32]) -> torch.Tensor:
        """A clip shorter than 25 ms is one short frame, as in FunASR; below two samples, one of no meaning."""
        if len(wave) < 2:
            return torch.zeros(1, MEL_BINS, device=self.device)
        return fbank_frames(torch.from_numpy(wave)[None].to(self.device))


def _joined(segments: Sequence[Samples]) -> tuple[npt.NDArray[Any], list[int]]:
    """Segments as one signal, and the first frame of each."""
    parts: list[Samples] = []
    starts, frames = [], 0
    for segment in segments:
        wave = segment if segment.dtype == np.int16 else scaled(segment)
        gap = -len(wave) % SHIFT_SAMPLES
        parts += [wave, np.zeros(gap, wave.dtype)]
        starts.append(frames)
        frames += (len(wave) + gap) // SHIFT_SAMPLES
    return np.concatenate([np.zeros(0, np.int16), *parts]), starts


class FeatureStream:
    """Computes stacked frames (m wide, one per 10 ms) of an endless signal, block by block.

    `state()` is small: at most 399 samples and m - 1 frames. The result does not depend on the block sizes. Arrays
    are replaced, never modified in place, so a shallow copy is independent.
    """

    def __init__(self, m: int, device: torch.device | str = "cpu") -> None:
        self.m = m
        self.device = torch.device(device)
        self._samples: Int16 = np.zeros(0, np.int16)
        self._frames = torch.zeros(0, MEL_BINS, device=self.device)
        self._started = False

    def accept(self, samples: Int16, *, final: bool = False) -> torch.Tensor:
        """Take int16 [n] more samples; return the stacked frames that they complete, float32 [k, m * 80].

        A stacked frame needs (m - 1) / 2 frames to its right; `final` repeats the last one instead.
        """
        joined = np.concatenate([self._samples, samples])
        count = frame_count(len(joined))
        self._samples = joined[count * SHIFT_SAMPLES :].copy()
        if count:
            self._push(torch.from_numpy(joined).to(self.device, torch.float32))
        side = (self.m - 1) // 2
        if final and self._started:
            self._frames = torch.cat([self._frames, self._frames[-1:].expand(side, -1)])
        ready = max(0, len(self._frames) - 2 * side)
        stacked = self._frames.unfold(0, self.m, 1).transpose(1, 2).reshape(ready, -1) if ready else None
        self._frames = self._frames[ready:].clone()
        return stacked if stacked is not None else self._frames.new_zeros(0, self.m * MEL_BINS)

    def _push(self, wave: torch.Tensor) -> None:
        new = fbank_frames(wave.unfold(0, FRAME_SAMPLES, SHIFT_SAMPLES))
        left = [] if self._started else [new[:1].expand((self.m - 1) // 2, -1)]
        self._frames = torch.cat([*left, self._frames, new])
        self._started = True

    def state(self) -> dict[str, object]:
        """The state for `restore`: int16 samples, float32 frames, a flag."""
        return {
            "samples": self._samples.copy(),
            "frames": self._frames.cpu().numpy().copy(),
            "started": self._started,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Continue exactly where `state()` was taken."""
        self._samples = np.array(state["samples"], dtype=np.int16)
        frames = np.array(state["frames"], dtype=np.float32).reshape(-1, MEL_BINS)
        self._frames = torch.from_numpy(frames).to(self.device)
        self._started = bool(state["started"])
