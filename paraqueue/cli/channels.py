"""Options of `submit` for channels and audio tracks."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer


class Channels(StrEnum):
    """How to handle several channels."""

    MIX = "mix"
    SPLIT = "split"
    AUTO = "auto"


ChannelsOption = Annotated[
    Channels | None, typer.Option(help="split: each channel by itself; auto: where they are different speakers.")
]
TrackOption = Annotated[
    str | None, typer.Option(help="Of a file with several: default, an index from 0, a language, or all.")
]


def channel_options(channels: Channels | None, audio_track: str | None) -> dict[str, Any]:
    """Return the options for the API; what was not asked for is left to the service."""
    return {"channels": channels.value if channels else None, "audio_track": audio_track}
