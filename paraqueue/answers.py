"""Values in responses that several kinds of calls return. Their models are imported when the first one arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

    from paraqueue.models import Sentence, Transcription


def transcription_in(answer: httpx.Response) -> Transcription:
    """The transcription that a response consists of."""
    from paraqueue.models import Transcription

    return Transcription.model_validate_json(answer.content)


def sentence_in(answer: httpx.Response) -> Sentence:
    """The sentence that a response consists of."""
    from paraqueue.models import Sentence

    return Sentence.model_validate_json(answer.content)
