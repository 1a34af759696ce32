"""Operations that split and merge sentences (see `paraqueue.exchange`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paraqueue.exchange import Operation, Send, given, request
from paraqueue.exports import JOBS

if TYPE_CHECKING:
    from paraqueue.models import NumberedSentence


def split_sentence(
    id: str,
    number: int,
    *,
    at_word: int | None = None,
    at_character: int | None = None,
    revision: int | None = None,
    machine_text: str | None = None,
) -> Operation[tuple[NumberedSentence, NumberedSentence]]:
    """Split a sentence of a completed transcription; returns both sentences, of which the first keeps the number.

    `at_word` is the word, counted from 0, that begins the second sentence, or `at_character` the place in the text,
    which is moved to the nearest boundary of words; with both, a corrected text is cut exactly there. For `revision`
    and `machine_text` see `correct`. Raises NotFound, ApiError (`edit_conflict`; `invalid_request` where it cannot be
    split).
    """
    from paraqueue.models import NumberedSentence

    body = given(at_word=at_word, at_character=at_character, revision=revision, machine_text=machine_text)
    answer = yield from request(Send("POST", f"{JOBS}/{id}/sentences/{number}/split", json=body))
    first, second = (NumberedSentence.model_validate(item) for item in answer.json()["data"])
    return first, second


def merge_sentences(
    id: str,
    number: int,
    *,
    next: int | None = None,
    revision: int | None = None,
    machine_text: str | None = None,
    next_revision: int | None = None,
    next_machine_text: str | None = None,
) -> Operation[NumberedSentence]:
    """Merge a sentence of a completed transcription with the one after it; returns it with its number.

    `next` is the number of the second sentence that you saw; for the revisions and texts of both see `correct`. Raises
    NotFound, ApiError (`edit_conflict`; `invalid_request` for the last sentence, and for two channels).
    """
    from paraqueue.models import NumberedSentence

    body = given(
        next=next,
        revision=revision,
        machine_text=machine_text,
        next_revision=next_revision,
        next_machine_text=next_machine_text,
    )
    answer = yield from request(Send("POST", f"{JOBS}/{id}/sentences/{number}/merge", json=body))
    return NumberedSentence.model_validate(answer.json()["data"][0])
