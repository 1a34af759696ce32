"""Places decoded frames on the recording's clock: pure arithmetic on timestamps.

Time 0 is what a player shows as 0. Timestamps jitter, and drift against the sample count; deviations within
`TOLERANCE` are ignored, so that audio without gaps passes through unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.transcript.recording import RecordingWarning, WarningCode

TOLERANCE = 0.04
# Overlaps up to this are cut; a larger jump back means that the clock was reset, and audio continues without a gap.
MOST_OVERLAP = 1.0
# No recording pauses that long or starts that late: such a timestamp is invalid.
MOST_HOLE = 6 * 3600.0
TOLD_HOLE = 0.2
# Warnings of one kind that are closer together than this are merged.
JOIN_MS = 1000
MOST_SPANS = 20


@dataclass(frozen=True, slots=True)
class Place:
    """A frame starts at `seconds`: directly after the previous one (`joined`), or else with a new run of samples.

    skip: how much of the beginning of the frame to drop, in seconds.
    """

    seconds: float
    joined: bool
    skip: float = 0.0


class Timeline:
    """Places the frames of one track, in order."""

    def __init__(self, warnings: Warnings, origin: float) -> None:
        self._warnings = warnings
        self._shift = -origin
        self._until = 0.0  # end of the audio so far, on the recording's clock
        self._began = False

    @property
    def until(self) -> float:
        """The end of the audio so far, in seconds."""
        return self._until

    def place(self, seconds: float | None, duration: float, *, tell: bool = True) -> Place:
        """The place of the next frame, given its timestamp; `tell`: warn about a gap before it."""
        began, self._began = self._began, True
        if seconds is None:
            return self._take(self._until, duration, joined=began)
        begin = seconds + self._shift
        ahead = begin - self._until
        if abs(ahead) <= TOLERANCE:
            # Audio that begins a moment after 0 starts there; later frames join the previous one.
            return self._take(self._until if began else max(0.0, begin), duration, joined=began)
        if ahead > MOST_HOLE or ahead < -MOST_OVERLAP:
            self._warnings.add(WarningCode.TIMESTAMPS_INVALID, self._until, self._until)
            self._shift -= ahead
            return self._take(self._until, duration, joined=began)
        if ahead > 0:
            if tell and began and ahead >= TOLD_HOLE:
                self._warnings.add(WarningCode.AUDIO_GAP, self._until, begin)
            return self._take(begin, duration, joined=False)
        skip = min(-ahead, duration)
        until = self._until
        self._until = max(until, begin + duration)
        return Place(until, joined=False, skip=skip)

    def shift_to(self, seconds: float) -> None:
        """Continue with a new clock that reads `seconds` at the end of the audio so far."""
        self._shift = self._until - seconds

    def _take(self, begin: float, duration: float, *, joined: bool) -> Place:
        self._until = begin + duration
        return Place(begin, joined)


MESSAGES = {
    WarningCode.AUDIO_TRUNCATED: "The recording breaks off here; what lies behind is missing.",
    WarningCode.AUDIO_GAP: "The recording has no sound here; it goes on behind the gap.",
    WarningCode.AUDIO_DAMAGED: "The file is damaged here; sound is missing.",
    WarningCode.TIMESTAMPS_INVALID: "The file's timestamps jump here; times from here on may differ from a player's.",
    WarningCode.LENGTH_WRONG: "The file's header states a wrong length; all of the sound in the file was read.",
    WarningCode.FORMAT_CHANGED: "The form of the sound (rate, channels or codec) changes here; all of it was read.",
    WarningCode.TRACKS_NOT_HEARD: "The file has other audio tracks that were not transcribed; see `audio_track`.",
    WarningCode.CHANNELS_CANCEL: "The channels cancel each other out when mixed; the loudest one was used.",
    WarningCode.LEVEL_RAISED: "The recording is very quiet; it was amplified for recognition.",
    WarningCode.LEVEL_LOWERED: "The sound is louder than full scale; it was attenuated for recognition.",
}


class Warnings:
    """Collects warnings in seconds, joining those of a kind that lie close together."""

    def __init__(self) -> None:
        self._spans: dict[WarningCode, list[list[int]]] = {}
        self._whole: list[WarningCode] = []

    def add(self, code: WarningCode, start: float, end: float) -> None:
        """Add a warning for a section of the recording, in seconds."""
        begin_ms, end_ms = round(start * 1000), round(end * 1000)
        spans = self._spans.setdefault(code, [])
        if spans and (begin_ms - spans[-1][1] < JOIN_MS or len(spans) >= MOST_SPANS):
            spans[-1][1] = max(spans[-1][1], end_ms)
            spans[-1][0] = min(spans[-1][0], begin_ms)
        else:
            spans.append([begin_ms, end_ms])

    def add_whole(self, code: WarningCode) -> None:
        """Add a warning for the whole recording."""
        self._whole.append(code)

    def all(self) -> list[RecordingWarning]:
        """All warnings so far, by time."""
        whole = [RecordingWarning(code.value, MESSAGES[code]) for code in self._whole]
        clipped = [
            RecordingWarning(code.value, MESSAGES[code], start, end)
            for code, spans in self._spans.items()
            for start, end in spans
        ]
        return whole + sorted(clipped, key=lambda item: (item.start_ms or 0, item.code))
