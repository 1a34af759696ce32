"""Options of an engine."""

from __future__ import annotations

from dataclasses import dataclass

from common.options.segmentation import FIXED, SegmentationName

MOST_QUEUED_SECONDS = 4 * 3600.0
"""Speech of all streams that waits for the device, whatever the batch budget: 460 MB of samples."""


@dataclass(frozen=True)
class EngineOptions:
    """How the engine uses its device.

    `batch_seconds` limits the padded seconds of a batch (None: measured at startup), `queue_seconds` what one stream
    may have queued (default: two batches). An idle device waits `max_queue_delay_seconds` for a batch to fill.
    `max_segment_ms` is the longest segment; None cuts as FunASR does. `threads` is the number of CPU threads for
    recognition; 0 means one per core. A call on the device that lasts `hang_seconds` means that the device hangs.
    `segmentation` is that of streams that name none. `gpu_layout` runs padded networks and a single thread for
    everything, as on a GPU; None: only if the device is a GPU.
    """

    batch_seconds: float | None = None
    queue_seconds: float | None = None
    max_segment_ms: int | None = 30_000
    threads: int = 0
    max_queue_delay_seconds: float = 0.02
    hang_seconds: float = 600.0
    gpu_layout: bool | None = None
    segmentation: SegmentationName = FIXED
