"""Operations on known voices: people whom transcripts name by themselves (see `paraqueue.exchange`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paraqueue.exchange import Operation, Send, given, request

if TYPE_CHECKING:
    import httpx

    from paraqueue.voice_models import Voice, VoicePage

VOICES = "/v1/voices"


def voices(*, after: str | None = None, limit: int = 20) -> Operation[VoicePage]:
    """A page of known voices, newest first."""
    from paraqueue.voice_models import VoicePage

    answer = yield from request(Send("GET", VOICES, {"limit": limit} | given(after=after)))
    return VoicePage.model_validate_json(answer.content)


def voice(id: str) -> Operation[Voice]:
    """A known voice. Raises NotFound."""
    return _voice_in((yield from request(Send("GET", f"{VOICES}/{id}"))))


def create_voice(transcription_id: str, speaker: int, *, name: str, consent: str) -> Operation[Voice]:
    """Enrol a speaker of a transcription, whom later ones then name by themselves.

    A voice print is biometric data: `consent` states how the person agreed. Raises NotFound, ApiError (`voices_off`,
    `no_voice_print`, `voice_name_taken`, `too_many_voices`).
    """
    body = {"transcription_id": transcription_id, "speaker": speaker, "name": name, "consent": consent}
    return _voice_in((yield from request(Send("POST", VOICES, json=body), safe=False)))


def add_voice_sample(id: str, transcription_id: str, speaker: int) -> Operation[Voice]:
    """Enrol more speech of the same person. Raises NotFound, ApiError (`voices_off`, `no_voice_print`)."""
    body = {"transcription_id": transcription_id, "speaker": speaker}
    return _voice_in((yield from request(Send("POST", f"{VOICES}/{id}/samples", json=body))))


def rename_voice(id: str, name: str) -> Operation[Voice]:
    """Rename a voice; names that transcripts have stay. Raises NotFound, ApiError (`voice_name_taken`)."""
    return _voice_in((yield from request(Send("PATCH", f"{VOICES}/{id}", json={"name": name}))))


def delete_voice(id: str) -> Operation[None]:
    """Delete a voice and its voice prints; names that transcripts have stay. Raises NotFound."""
    yield from request(Send("DELETE", f"{VOICES}/{id}"), safe=False)


def _voice_in(answer: httpx.Response) -> Voice:
    from paraqueue.voice_models import Voice

    return Voice.model_validate_json(answer.content)
