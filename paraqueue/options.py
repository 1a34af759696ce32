"""The options of a transcription, as every call that submits takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from paraqueue.statuses import Segmentation


class SubmitOptions(TypedDict, total=False):
    """What the service may be asked for; it chooses the value of an option that is left out or None."""

    model: str | None
    language: str | None
    channels: Literal["mix", "split", "auto"] | None
    audio_track: str | None
    speakers: bool | int | None
    min_speakers: int | None
    max_speakers: int | None
    itn: bool | None
    remove_fillers: bool | None
    masked_words: Sequence[str] | None
    hotwords: Sequence[str] | None
    vocabulary_id: str | None
    script: Literal["traditional"] | None
    segmentation: Segmentation | None
    summary: bool | str | None
    summary_language: Literal["zh", "en"] | None
    priority: int | None
    tags: Sequence[str] | None
    webhook_url: str | None
    webhook_events: Sequence[str] | None
    dedupe: bool | None


def body_of(options: SubmitOptions) -> dict[str, Any]:
    """Return the options as the API takes them. Raises TypeError for one that does not exist, as a call does."""
    unknown = options.keys() - SubmitOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"there is no option {min(unknown)!r}")
    given = {name: value for name, value in options.items() if value is not None}
    return {name: value if isinstance(value, str | int) else list(value) for name, value in given.items()}  # type: ignore[call-overload]
