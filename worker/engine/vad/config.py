"""The settings of a VAD model, and how a segmentation changes them (see `detector`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from common.errors import ModelUnavailable
from common.options.segmentation import Segmentation
from worker.engine.vad.endpoint import EndpointOptions

FRAME_MS = 10

BLOCK_MS = 60_000
"""FunASR's `chunk_size` for whole files: where the dynamic mode decides anew."""

DYNAMIC_SPEECH_THRES = 0.5
DYNAMIC_SILENCE_MS = 2_000
DYNAMIC_SILENCE_IN_SPEECH_MS = 200
"""From FunASR's `DEFAULT_SILENCE_SCHEDULE`. It has other steps, but with blocks of 60 s the speech at the start of one
counts as 0 or 60 s long: as no segment is longer, one has always ended within the block."""

NO_LIMIT = 1 << 40
SHORTEST_LIMIT_MS = 1_000


@dataclass(frozen=True, slots=True)
class VadConfig:
    """The endpoint settings of a VAD model, under FunASR's names (`vad_post_conf` and the model's defaults)."""

    max_end_silence_time: int = 800
    window_size_ms: int = 200
    sil_to_speech_time_thres: int = 150
    speech_to_sil_time_thres: int = 150
    do_extend: bool = True
    lookback_time_start_point: int = 200
    lookahead_time_end_point: int = 100
    max_single_segment_time: int = 60_000
    speech_noise_thres: float = 0.6
    speech_2_noise_ratio: float = 1.0
    sil_pdf_ids: tuple[int, ...] = (0,)
    lfr_m: int = 5

    @classmethod
    def of(cls, module: torch.nn.Module, lfr_m: int = 5) -> VadConfig:
        """Read the settings of a loaded FsmnVADStreaming. Raises ModelUnavailable for modes that no model uses."""
        options: Any = module.vad_opts
        # The level of int16 audio, and so the noise level, lies in -60 … 26 dB: such limits never take effect.
        inert = options.snr_thres <= -87 and options.decibel_thres <= -60
        if not inert or options.detect_mode != 1 or options.frame_in_ms != FRAME_MS:
            raise ModelUnavailable("this VAD model uses loudness limits or single-utterance mode; not supported")
        names = [name for name in cls.__dataclass_fields__ if name not in ("sil_pdf_ids", "lfr_m", "do_extend")]
        values = {name: getattr(options, name) for name in names}
        return cls(**values, do_extend=bool(options.do_extend), sil_pdf_ids=tuple(options.sil_pdf_ids), lfr_m=lfr_m)

    def under(self, segmentation: Segmentation) -> VadConfig:
        """The settings for a segmentation; its dynamic mode has its own silences, chosen as the audio goes on."""
        threshold = DYNAMIC_SPEECH_THRES if segmentation.dynamic else segmentation.speech_threshold
        return replace(
            self,
            speech_noise_thres=self.speech_noise_thres if threshold is None else threshold,
            max_end_silence_time=segmentation.end_silence_ms or self.max_end_silence_time,
        )

    def endpoint(self, max_segment_ms: int | None) -> EndpointOptions:
        """The endpoint detector's options; `max_segment_ms` replaces FunASR's hard limit by the cutter."""
        if max_segment_ms is not None and max_segment_ms < SHORTEST_LIMIT_MS:
            raise ValueError(f"max_segment_ms must be at least {SHORTEST_LIMIT_MS}")
        return EndpointOptions(
            window=self.window_size_ms // FRAME_MS,
            to_speech=self.sil_to_speech_time_thres // FRAME_MS,
            to_silence=self.speech_to_sil_time_thres // FRAME_MS,
            end_silence_ms=self.max_end_silence_time - self.speech_to_sil_time_thres,
            frame_ms=FRAME_MS,
            lookback=self.lookback_time_start_point // FRAME_MS,
            lookahead=self.lookahead_time_end_point // FRAME_MS,
            extend=self.do_extend,
            longest_segment=self.max_single_segment_time // FRAME_MS if max_segment_ms is None else NO_LIMIT,
            longest_piece=0 if max_segment_ms is None else max_segment_ms // FRAME_MS,
        )
