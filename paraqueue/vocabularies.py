"""Operations on vocabularies: words that many transcriptions share (see `paraqueue.exchange`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paraqueue.exchange import Operation, Send, given, request

if TYPE_CHECKING:
    import httpx

    from paraqueue.models import Vocabulary, VocabularyPage

VOCABULARIES = "/v1/vocabularies"


def vocabularies(*, after: str | None = None, limit: int = 20) -> Operation[VocabularyPage]:
    """A page of vocabularies, newest first, without their words."""
    from paraqueue.models import VocabularyPage

    answer = yield from request(Send("GET", VOCABULARIES, {"limit": limit} | given(after=after)))
    return VocabularyPage.model_validate_json(answer.content)


def vocabulary(id: str) -> Operation[Vocabulary]:
    """A vocabulary with its words. Raises NotFound."""
    return _vocabulary_in((yield from request(Send("GET", f"{VOCABULARIES}/{id}"))))


def create_vocabulary(
    name: str, *, hotwords: Sequence[str] = (), masked_words: Sequence[str] = ()
) -> Operation[Vocabulary]:
    """Create a vocabulary, with words as `submit` takes them. Raises ApiError (`vocabulary_name_taken`)."""
    body = {"name": name, "hotwords": list(hotwords), "masked_words": list(masked_words)}
    return _vocabulary_in((yield from request(Send("POST", VOCABULARIES, json=body), safe=False)))


def update_vocabulary(
    id: str,
    *,
    name: str | None = None,
    hotwords: Sequence[str] | None = None,
    masked_words: Sequence[str] | None = None,
    revision: int | None = None,
) -> Operation[Vocabulary]:
    """Rename a vocabulary or replace its words; None leaves a value as it is.

    Jobs that were submitted before keep the old words. With `revision`, the one that you read, ApiError
    (`vocabulary_changed`) is raised if there is a newer one. Raises NotFound, ApiError (`vocabulary_name_taken`).
    """
    lists = {"hotwords": hotwords, "masked_words": masked_words}
    replaced = {field: list(words) for field, words in lists.items() if words is not None}
    send = Send("PATCH", f"{VOCABULARIES}/{id}", json=given(name=name, revision=revision) | replaced)
    # Sent twice, a change with a revision would be refused the second time.
    return _vocabulary_in((yield from request(send, safe=revision is None)))


def delete_vocabulary(id: str) -> Operation[None]:
    """Delete a vocabulary; jobs that were submitted with it keep its words. Raises NotFound."""
    yield from request(Send("DELETE", f"{VOCABULARIES}/{id}"), safe=False)


def _vocabulary_in(answer: httpx.Response) -> Vocabulary:
    from paraqueue.models import Vocabulary

    return Vocabulary.model_validate_json(answer.content)
