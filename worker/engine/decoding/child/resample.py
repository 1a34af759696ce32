"""Resamples runs of frames to float samples at the target rate, with FFmpeg's own filter graph."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame

Samples = npt.NDArray[np.float32]
# Frames that are pushed before output is pulled: each pull costs as much as a frame.
PULL_EVERY = 32


class Resampler:
    """Resamples one run of frames of the same format. Yields float32 [channels, n]."""

    def __init__(self, first: AudioFrame, rate: int, layout: str | None = None) -> None:
        self.form = form_of(first)
        self._pushed = 0
        self._graph = av.filter.Graph()
        self._graph.threads = 1
        wanted = f"sample_fmts=flt:sample_rates={rate}" + (f":channel_layouts={layout}" if layout else "")
        self._source = self._graph.add_abuffer(
            sample_rate=first.sample_rate,
            format=first.format.name,
            layout=first.layout.name,
            time_base=first.time_base,
        )
        chain = [
            self._source,
            self._graph.add("aresample", str(rate)),
            self._graph.add("aformat", wanted),
            self._graph.add("asetnsamples", f"n={rate}:p=0"),
            self._graph.add("abuffersink"),
        ]
        self._sink = chain[-1]
        for left, right in pairwise(chain):
            left.link_to(right)
        self._graph.configure()

    def push(self, frame: AudioFrame) -> Iterator[Samples]:
        """Push the next frame and yield the output that is ready."""
        frame.pts = None
        self._source.push(frame)
        self._pushed += 1
        if self._pushed % PULL_EVERY == 0:
            yield from self._ready()

    def finish(self) -> Iterator[Samples]:
        """Flush the output at the end of the run."""
        self._source.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Samples]:
        while True:
            try:
                frame: Any = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            # Float formats may contain NaN and infinity.
            # Interleaved, because PyAV crashes over eight planes.
            samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T
            yield np.nan_to_num(np.ascontiguousarray(samples), copy=True, nan=0.0, posinf=1.0, neginf=-1.0)


def form_of(frame: AudioFrame) -> tuple[int, str, str]:
    """The format properties that all frames of one run share."""
    return frame.sample_rate, frame.format.name, frame.layout.name
