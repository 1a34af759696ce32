"""The end-point machine against FunASR's own, frame by frame, and the cutter."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from funasr.models.fsmn_vad_streaming.model import FsmnVADStreaming

from worker.engine.vad.config import VadConfig
from worker.engine.vad.endpoint import NEXT, PIECE, EndpointOptions, advance, best_cut, new_memory

UInt8 = npt.NDArray[np.uint8]
Frames = list[tuple[int, int]]


class _Given(torch.nn.Module):
    """A network whose input already holds its answer, so that FunASR's machine can be fed with any decisions."""

    def forward(self, features: torch.Tensor, cache: dict[str, Any]) -> torch.Tensor:
        del cache
        return features


def funasr_module(**options: Any) -> FsmnVADStreaming:
    small = {"input_dim": 4, "input_affine_dim": 2, "fsmn_layers": 1, "linear_dim": 2, "proj_dim": 2}
    small |= {"lorder": 2, "rorder": 0, "lstride": 1, "rstride": 0, "output_affine_dim": 2, "output_dim": 2}
    module = FsmnVADStreaming(encoder="FSMN", encoder_conf=small, detect_mode=1, **options)
    module.encoder = _Given()
    return module


def funasr_segments(module: FsmnVADStreaming, speech: UInt8, chunk: int) -> Frames:
    """FunASR's segments, in frames, of decisions given `chunk` frames at a time."""
    cache: dict[str, Any] = {}
    module.init_cache(cache)
    frames: Frames = []
    for begin in range(0, len(speech), chunk):
        part = speech[begin : begin + chunk]
        silence = torch.from_numpy(np.where(part, 0.1, 0.9).astype(np.float32))
        scores = torch.stack([silence, 1 - silence], dim=1)[None]
        waveform = torch.zeros(1, (len(part) - 1) * 160 + 400)
        last = begin + chunk >= len(speech)
        with contextlib.redirect_stdout(io.StringIO()):
            segments = module(scores, waveform, cache=cache, is_final=last, is_streaming_input=False)
        frames += [(start // 10, end // 10) for batch in segments for start, end in batch]
    return frames


def our_segments(options: EndpointOptions, speech: UInt8, borders: list[int]) -> Frames:
    """The detector's segments when it runs from boundary to boundary, dropping what it may."""
    memory, window = new_memory(), np.zeros(options.window, np.uint8)
    frames: Frames = []
    base = 0
    for stop in [*borders, len(speech)]:
        out = np.empty((stop - base + 2, 2), np.int64)
        count = advance(speech[base:stop], base, stop == len(speech), memory, window, options, out)
        frames += [(int(start), int(end)) for start, end in out[:count]]
        base = int(memory[PIECE]) if memory[0] else max(0, int(memory[NEXT]) - options.window - options.lookback)
    return frames


def random_speech(generator: np.random.Generator, frames: int) -> UInt8:
    """Decisions that flicker, with runs of every length between 1 frame and a few seconds."""
    runs = np.exp(generator.uniform(0, np.log(generator.integers(5, 600)), frames)).astype(int) + 1
    states = (np.arange(frames) + generator.integers(2)) % 2
    speech = np.repeat(states, runs)[:frames].astype(np.uint8)
    flips = generator.random(frames) < generator.choice([0.0, 0.02, 0.2])
    return np.asarray(speech ^ flips, np.uint8)


@pytest.mark.parametrize("seed", range(40))
def test_segments_are_funasrs(seed: int) -> None:
    generator = np.random.default_rng(seed)
    settings = {
        "max_end_silence_time": int(generator.choice([300, 455, 500, 800, 1500])),
        "max_single_segment_time": int(generator.choice([2000, 7000, 60_000])),
        "do_extend": int(generator.choice([1, 1, 1, 0])),
        "lookback_time_start_point": int(generator.choice([0, 100, 200])),
        "lookahead_time_end_point": int(generator.choice([0, 100, 200])),
    }
    module = funasr_module(**settings)
    options = VadConfig.of(module).endpoint(None)
    speech = random_speech(generator, int(generator.integers(2, 7000)))
    borders = sorted(set(generator.integers(1, len(speech), 4).tolist()))
    expected = funasr_segments(module, speech, int(generator.choice([500, 5996, 100_000])))
    assert our_segments(options, speech, borders) == expected


def test_the_random_files_have_segments_of_every_kind() -> None:
    lengths = []
    options = VadConfig(max_single_segment_time=7000).endpoint(None)
    for seed in range(20):
        segments = our_segments(options, random_speech(np.random.default_rng(seed), 9000), [])
        lengths += [end - start for start, end in segments]
    assert len(lengths) > 50
    assert max(lengths) > 700 > 300 > min(lengths)


def test_silence_has_no_segment() -> None:
    options = VadConfig().endpoint(30_000)
    assert our_segments(options, np.zeros(5000, np.uint8), [100]) == []


def _cutting(longest_ms: int) -> EndpointOptions:
    return VadConfig().endpoint(longest_ms)


@pytest.mark.parametrize("seed", range(30))
def test_pieces_tile_the_segments_that_they_were_cut_from(seed: int) -> None:
    speech = random_speech(np.random.default_rng(seed), 9000)
    uncut = our_segments(VadConfig().endpoint(None)._replace(longest_segment=10**9), speech, [])
    pieces = our_segments(_cutting(5000), speech, [])
    assert all(0 < end - start <= 500 for start, end in pieces)
    rebuilt: Frames = []
    for start, end in pieces:
        joins = rebuilt and rebuilt[-1][1] == start and (rebuilt[-1][0], rebuilt[-1][1]) not in uncut
        rebuilt = [*rebuilt[:-1], (rebuilt[-1][0], end)] if joins else [*rebuilt, (start, end)]
    assert rebuilt == uncut


@pytest.mark.parametrize("seed", range(30))
def test_cuts_do_not_depend_on_blocks(seed: int) -> None:
    generator = np.random.default_rng(seed)
    speech = random_speech(generator, 9000)
    borders = sorted(set(generator.integers(1, 9000, 30).tolist()))
    assert our_segments(_cutting(4000), speech, borders) == our_segments(_cutting(4000), speech, [])


def test_cut_lies_in_the_longest_pause_of_the_second_half() -> None:
    speech = np.ones(1000, np.uint8)
    speech[200:260] = 0  # longer, but in the first half
    speech[600:620] = 0
    speech[800:810] = 0
    assert best_cut(speech, 0, 0, 1000) == 610


def test_a_pause_in_the_first_half_is_better_than_a_word() -> None:
    speech = np.ones(1000, np.uint8)
    speech[200:220] = 0
    assert best_cut(speech, 0, 0, 1000) == 210


def test_a_short_gap_is_better_than_a_hard_cut_and_of_equals_the_later_wins() -> None:
    speech = np.ones(1000, np.uint8)
    speech[700:704] = speech[900:904] = 0
    assert best_cut(speech, 0, 0, 1000) == 902


def test_without_a_pause_the_cut_is_at_the_limit() -> None:
    assert best_cut(np.ones(1000, np.uint8), 0, 0, 1000) == 1000
    assert best_cut(np.ones(1000, np.uint8), 50, 50, 600) == 650
