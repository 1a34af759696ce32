"""Errors of the audio itself."""

from __future__ import annotations

from common.errors.family import ParaqueueError


class AudioEmpty(ParaqueueError):
    """The file is empty, or its audio track has no samples."""

    code = "audio_empty"


class AudioNotDecodable(ParaqueueError):
    """The file cannot be decoded as audio."""

    code = "audio_not_decodable"


class AudioMissing(ParaqueueError):
    """The file is a video or image without an audio track."""

    code = "audio_missing"


class AudioTruncated(ParaqueueError):
    """The file breaks off before any sound; with some, it is transcribed."""

    code = "audio_truncated"


class TrackNotFound(ParaqueueError):
    """The file has no audio track of the number or language that `audio_track` asks for."""

    code = "track_not_found"


class AudioTooLong(ParaqueueError):
    """The audio exceeds the duration limit."""

    code = "audio_too_long"


class DecodeLimit(ParaqueueError):
    """Decoding exceeded its CPU time or memory limit."""

    code = "decode_limit"


class DecodeStalled(ParaqueueError):
    """The disk or network file system with the audio file does not respond."""

    code = "decode_stalled"
    retryable = True
