"""Facts about a recording besides its words: its audio tracks, and warnings to readers of the transcript."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class WarningCode(StrEnum):
    """Problems of a recording that was transcribed anyway, documented in docs/recordings.md."""

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


# Playing such a file directly would show times that differ from the transcript's, so players get a copy on the
# recording's clock.
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
    """A warning to readers of the transcript; the times are None if it concerns all of the audio."""

    code: str
    message: str
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """An audio track of a file; `index` counts audio tracks from 0."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    language: str | None
    title: str | None
    default: bool
    transcribed: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """What decoding has found so far; complete with the last part."""

    tracks: tuple[AudioTrack, ...] = ()
    warnings: tuple[RecordingWarning, ...] = ()


NOTHING_KNOWN = Recording()


def warnings_json(warnings: Iterable[RecordingWarning]) -> list[dict[str, Any]]:
    """Convert warnings to the JSON that is stored and reported."""
    return [asdict(warning) for warning in warnings]


def tracks_json(tracks: Iterable[AudioTrack]) -> list[dict[str, Any]]:
    """Convert tracks to the JSON that is stored and reported."""
    return [asdict(track) for track in tracks]


def warnings_of(stored: Iterable[Mapping[str, Any]] | None) -> tuple[RecordingWarning, ...]:
    """Parse the output of `warnings_json`."""
    return tuple(RecordingWarning(**fields) for fields in stored or ())


def tracks_of(stored: Iterable[Mapping[str, Any]] | None) -> tuple[AudioTrack, ...]:
    """Parse the output of `tracks_json`."""
    return tuple(AudioTrack(**fields) for fields in stored or ())


def plays_on_its_clock(recording: Recording) -> bool:
    """Return whether playing the file itself matches the transcript, both in its times and in its audio."""
    return len(recording.tracks) < 2 and not any(item.code in CLOCK_BREAKING for item in recording.warnings)
