"""Trains the voice activity detector: FSMN-VAD, one probability of silence per 10 ms.

The network is that of "Deep-FSMN for Large Vocabulary Continuous Speech Recognition" (arXiv 1803.05030) in
FunASR's `FsmnVADStreaming`; its output 0 is silence, output 1 is speech.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from funasr.models.fsmn_vad_streaming.model import FsmnVADStreaming
from numpy.typing import NDArray
from torch.nn import functional

from training import speech
from training.bundle import write_model
from training.corpus import (
    FRAME_CENTRE_MS,
    FRAME_MS,
    MEL_BINS,
    balanced_sentences,
    fbank,
    normalisation,
    random_voice,
    stack_frames,
)
from training.speech import SAMPLE_RATE, Samples

STACKED, STRIDE = 5, 1
LONGEST_INNER_GAP_MS = 80
"""Shorter gaps between words count as speech."""

_NOISE_KINDS = ("white", "pink", "hum")

CONFIG: dict[str, Any] = {
    "frontend": "WavFrontendOnline",
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
    "model": "FsmnVADStreaming",
    "model_conf": {
        "sample_rate": SAMPLE_RATE,
        "detect_mode": 1,
        "snr_mode": 0,
        "max_end_silence_time": 500,
        "max_start_silence_time": 3000,
        "do_start_point_detection": True,
        "do_end_point_detection": True,
        "window_size_ms": 200,
        "sil_to_speech_time_thres": 150,
        "speech_to_sil_time_thres": 150,
        "speech_2_noise_ratio": 1.0,
        "do_extend": 1,
        "lookback_time_start_point": 200,
        "lookahead_time_end_point": 100,
        "max_single_segment_time": 60000,
        "snr_thres": -100.0,
        "noise_frame_num_used_for_snr": 100,
        "decibel_thres": -100.0,
        "speech_noise_thres": 0.6,
        "fe_prior_thres": 0.0001,
        "silence_pdf_num": 1,
        "sil_pdf_ids": [0],
        "speech_noise_thresh_low": -0.1,
        "speech_noise_thresh_high": 0.3,
        "output_frame_probs": False,
        "frame_in_ms": 10,
        "frame_length_ms": 25,
    },
    "encoder": "FSMN",
    "encoder_conf": {
        "input_dim": MEL_BINS * STACKED,
        "input_affine_dim": 140,
        "fsmn_layers": 4,
        "linear_dim": 250,
        "proj_dim": 128,
        "lorder": 20,
        "rorder": 0,
        "lstride": 1,
        "rstride": 0,
        "output_affine_dim": 140,
        "output_dim": 2,
    },
}


@dataclass(frozen=True)
class Scene:
    """Stacked features, shape [frames, 400], and speech labels, shape [frames]."""

    features: NDArray[np.float32]
    speaking: NDArray[np.bool_]


def make_scenes(count: int, seed: int, voices: tuple[speech.Voice, ...] = speech.TRAINING_VOICES) -> list[Scene]:
    """`count` scenes of a few sentences, pauses of up to 2.5 s and background noise; some contain no speech."""
    generator = np.random.default_rng(seed)
    sentences = balanced_sentences(seed + 77)
    scenes = []
    for index in range(count):
        number = 0 if index % 6 == 5 else int(generator.integers(1, 4))
        scenes.append(_scene(list(islice(sentences, number)), voices, generator))
    return scenes


def _scene(texts: list[str], voices: tuple[speech.Voice, ...], generator: np.random.Generator) -> Scene:
    pieces: list[Samples] = [_silence(generator)]
    spoken_ms: list[tuple[float, float]] = []
    level_db = float(generator.uniform(-36, -13))
    for text in texts:
        spoken = speech.synthesize(text, random_voice(voices, generator))
        offset = sum(map(len, pieces)) * 1000 / SAMPLE_RATE
        spoken_ms.extend((mark.start_ms + offset, mark.end_ms + offset) for mark in spoken.marks)
        pieces += [speech.level(spoken.samples, level_db + float(generator.uniform(-3, 3))), _silence(generator)]
    audio = _with_background(np.concatenate(pieces), level_db if texts else -30.0, generator)
    features = fbank(audio)
    return Scene(stack_frames(features, STACKED, STRIDE).astype(np.float32), _speaking(len(features), spoken_ms))


def _silence(generator: np.random.Generator) -> Samples:
    return np.zeros(int(generator.uniform(0.1, 2.5) * SAMPLE_RATE), np.float32)


def _with_background(audio: Samples, level_db: float, generator: np.random.Generator) -> Samples:
    """Add zero, one or two kinds of noise, and sometimes a few clicks, in 16 bits."""
    for _ in range(int(generator.choice((0, 1, 2), p=(0.2, 0.5, 0.3)))):
        kind = _NOISE_KINDS[int(generator.integers(3))]
        quietest = max(-80.0, level_db - 50)
        audio = audio + speech.noise(len(audio), kind, float(generator.uniform(quietest, level_db - 10)), generator)
    if generator.random() < 0.3:
        for place in generator.integers(0, max(len(audio) - 400, 1), 3):
            decay = np.exp(-np.arange(400) / 60) * generator.standard_normal(400)
            stretch = audio[place : place + 400]
            stretch += (0.1 * decay[: len(stretch)]).astype(np.float32)
    return (np.round(np.clip(audio, -1, 1) * 32767) / 32768).astype(np.float32)


def _speaking(frames: int, spoken_ms: list[tuple[float, float]]) -> NDArray[np.bool_]:
    speaking = np.zeros(frames, bool)
    previous_end = -1e9
    for start, end in spoken_ms:
        begin = previous_end if start - previous_end < LONGEST_INNER_GAP_MS else start
        first, last = (round((ms - FRAME_CENTRE_MS) / FRAME_MS) for ms in (begin, end))
        speaking[max(first, 0) : max(last, 0) + 1] = True
        previous_end = end
    return speaking


def train(directory: Path, steps: int = 500, scene_count: int = 700, seed: int = 5) -> float:
    """Train, write the model to `directory`, and return its frame accuracy on held-out voices."""
    torch.manual_seed(seed)
    scenes = make_scenes(scene_count, seed)
    shift, scale = normalisation(scene.features for scene in scenes)
    mvn = (torch.tensor(shift, dtype=torch.float32), torch.tensor(scale, dtype=torch.float32))
    model = FsmnVADStreaming(encoder=CONFIG["encoder"], encoder_conf=CONFIG["encoder_conf"], **CONFIG["model_conf"])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, steps)
    generator = np.random.default_rng(seed)
    model.train()
    for step in range(steps):
        chosen = [scenes[i] for i in generator.integers(0, len(scenes), 12)]
        loss = _loss(model, chosen, mvn, generator)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            print(f"vad step {step} loss {loss.item():.4f}", flush=True)
    write_model(directory, CONFIG, model.state_dict(), "voice-activity-detection", mvn=(shift, scale))
    return frame_accuracy(model, make_scenes(60, seed + 1, speech.HELD_OUT_VOICES), mvn)


def _loss(
    model: FsmnVADStreaming,
    scenes: list[Scene],
    mvn: tuple[torch.Tensor, torch.Tensor],
    generator: np.random.Generator,
    frames: int = 500,
) -> torch.Tensor:
    """Cross entropy over `frames` frames cut from each scene (shorter ones are padded and masked)."""
    features = torch.zeros(len(scenes), frames, MEL_BINS * STACKED)
    labels = torch.full((len(scenes), frames), -100)
    for row, scene in enumerate(scenes):
        start = int(generator.integers(0, max(len(scene.speaking) - frames, 1)))
        cut = torch.from_numpy(scene.features[start : start + frames])
        features[row, : len(cut)] = (cut + mvn[0]) * mvn[1]
        labels[row, : len(cut)] = torch.from_numpy(scene.speaking[start : start + frames]).long()
    probabilities = model.encoder(features, cache=None)
    return functional.nll_loss(torch.log(probabilities + 1e-7).flatten(0, 1), labels.flatten())


def frame_accuracy(model: FsmnVADStreaming, scenes: list[Scene], mvn: tuple[torch.Tensor, torch.Tensor]) -> float:
    """The share of 10 ms frames with the correct label."""
    model.eval()
    right = total = 0
    with torch.inference_mode():
        for scene in scenes:
            features = (torch.from_numpy(scene.features)[None] + mvn[0]) * mvn[1]
            speaking = model.encoder(features, cache=None)[0].argmax(-1).numpy() == 1
            right += int((speaking == scene.speaking).sum())
            total += len(speaking)
    return right / total
