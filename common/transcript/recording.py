"""What is known of a recording besides its words: its audio tracks, and what a reader must be warned of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class WarningCode(StrEnum):
    """What can be wrong with a recording that was transcribed all the same. Documented in docs/recordings.md."""

    AUDIO_TRUNCATED = "audio_truncated"
    AUDIO_GAP = "audio_gap"
    AUDIO_DAMAGED = "audio_damaged"
    TIMESTAMPS_INVALID = "timestamps_invalid"
    LENGTH_WRONG = "length_wrong"
    FORMAT_CHANGED = "format_changed"
    TRACKS_NOT_HEARD = "tracks_not_heard"
    CHANNELS_CANCEL = "channels_cancel"
    LEVEL_RAISED = "level_raised"
    LEVEL_LOWERED = "level_lowered"
    NO_SPEECH = "no_speech"


# A player that runs through such a file is not at the time that it shows: it is given a copy on the recording's clock.
CLOCK_BREAKING = frozenset(
    {
        WarningCode.AUDIO_GAP,
        WarningCode.AUDIO_DAMAGED,
        WarningCode.TIMESTAMPS_INVALID,
        WarningCode.LENGTH_WRONG,
        WarningCode.FORMAT_CHANGED,
    }
)


@dataclass(frozen=True, slots=True)
class RecordingWarning:
    """Something that a reader of the transcript must know; the times are None where it concerns all of the audio."""

    code: str
    message: str
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """An audio track of a file. `index` counts audio tracks from 0; `heard`: whether it was transcribed."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    language: str | None
    title: str | None
    default: bool
    heard: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """What decoding has found out so far; complete with the last part."""

    tracks: tuple[AudioTrack, ...] = ()
    warnings: tuple[RecordingWarning, ...] = ()


NOTHING_KNOWN = Recording()


def warnings_json(warnings: Iterable[RecordingWarning]) -> list[dict[str, Any]]:
    """As they are stored and told."""
    return [asdict(warning) for warning in warnings]


def tracks_json(tracks: Iterable[AudioTrack]) -> list[dict[str, Any]]:
    """As they are stored and told."""
    return [asdict(track) for track in tracks]


def warnings_of(stored: Iterable[Mapping[str, Any]] | None) -> tuple[RecordingWarning, ...]:
    """What `warnings_json` made."""
    return tuple(RecordingWarning(**fields) for fields in stored or ())


def tracks_of(stored: Iterable[Mapping[str, Any]] | None) -> tuple[AudioTrack, ...]:
    """What `tracks_json` made."""
    return tuple(AudioTrack(**fields) for fields in stored or ())


def plays_on_its_clock(recording: Recording) -> bool:
    """Whether a player of the file itself shows the times of the transcript, and plays what was transcribed."""
    return len(recording.tracks) < 2 and not any(item.code in CLOCK_BREAKING for item in recording.warnings)
