"""Options of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from common.options.segmentation import FIXED, SegmentationName

GpuLayout = Literal["packed", "padded"]
"""How networks on a GPU hold a batch: rows without padding, or FunASR's modules over padded segments."""

MOST_QUEUED_SECONDS = 4 * 3600.0
"""Speech of all streams that waits for the device, whatever the batch budget: 460 MB of samples."""


@dataclass(frozen=True)
class EngineOptions:
    """How the engine uses its device.

    `batch_seconds` limits the padded seconds of a batch (None: measured at startup), `queue_seconds` what one stream
    may have queued (default: two batches). An idle device waits `max_queue_delay_seconds` for a batch to fill.
    `max_segment_ms` is the longest segment; None cuts as FunASR does. `threads` is the number of CPU threads for
    recognition; 0 means one per core. A call on the device that lasts `hang_seconds` means that the device hangs.
    `segmentation` is that of streams that name none. `gpu_networks` is the layout of the networks on a GPU; packed
    ones fall back to padded ones for a model that they do not implement. `as_gpu` runs these networks and a single
    thread for everything on any device; None: only if the device is a GPU.
    """

    batch_seconds: float | None = None
    queue_seconds: float | None = None
    max_segment_ms: int | None = 30_000
    threads: int = 0
    max_queue_delay_seconds: float = 0.02
    hang_seconds: float = 600.0
    as_gpu: bool | None = None
    gpu_networks: GpuLayout = "packed"
    segmentation: SegmentationName = FIXED
