"""Options of `submit` for channels, audio tracks and segmentation."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer


class Channels(StrEnum):
    """How to handle several channels."""

    MIX = "mix"
    SPLIT = "split"
    AUTO = "auto"


class SegmentationChoice(StrEnum):
    """How to divide speech."""

    FIXED = "fixed"
    DYNAMIC = "dynamic"
    MEETING = "meeting"
    CALL = "call"
    LECTURE = "lecture"


ChannelsOption = Annotated[
    Channels | None, typer.Option(help="split: each channel by itself; auto: where they are different speakers.")
]
TrackOption = Annotated[
    str | None, typer.Option(help="Of a file with several: default, an index from 0, a language, or all.")
]
SegmentationOption = Annotated[
    SegmentationChoice | None, typer.Option(help="How speech is divided before recognition. Default: the model's.")
]


def channel_options(channels: Channels | None, audio_track: str | None) -> dict[str, Any]:
    """Return the options for the API; what was not asked for is left to the service."""
    return {"channels": channels.value if channels else None, "audio_track": audio_track}


def segmentation_options(segmentation: SegmentationChoice | None) -> dict[str, Any]:
    """Return the option for the API; without one, the model's own segmentation is used."""
    return {"segmentation": segmentation.value if segmentation else None}
