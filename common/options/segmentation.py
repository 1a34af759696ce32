"""How speech is divided into segments for recognition: FunASR's two modes and presets, by the names that jobs use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

SegmentationName = Literal["fixed", "dynamic", "meeting", "call", "lecture"]

FIXED: SegmentationName = "fixed"
DYNAMIC: SegmentationName = "dynamic"


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What ends a segment. None leaves a value to the VAD model, and the longest segment to the worker.

    dynamic: the silence that ends a segment depends on the speech before it, and the threshold is FunASR's for that.
    longest_ms: longer segments are split, if the worker does not split them sooner. end_silence_ms: a pause of this
    length ends a segment. speech_threshold: how much likelier speech than noise must be, 0 to 1.
    """

    dynamic: bool = False
    longest_ms: int | None = None
    end_silence_ms: int | None = None
    speech_threshold: float | None = None


SEGMENTATIONS: Mapping[SegmentationName, Segmentation] = {
    "fixed": Segmentation(),
    "dynamic": Segmentation(dynamic=True),
    "meeting": Segmentation(longest_ms=20_000, end_silence_ms=800, speech_threshold=0.5),
    "call": Segmentation(longest_ms=15_000, end_silence_ms=500, speech_threshold=0.6),
    "lecture": Segmentation(longest_ms=30_000, end_silence_ms=1_200, speech_threshold=0.6),
}
SEGMENTATION_NAMES: tuple[SegmentationName, ...] = get_args(SegmentationName)


def segmentation_name(name: str) -> SegmentationName:
    """Return the name if it is one. Raises ValueError."""
    for known in SEGMENTATION_NAMES:
        if name == known:
            return known
    raise ValueError(f"the segmentation {name!r} is not one of {', '.join(SEGMENTATION_NAMES)}")
