"""Operations that correct sentences (see `paraqueue.exchange`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from paraqueue.answers import sentence_in
from paraqueue.exchange import Operation, Send, given, request
from paraqueue.exports import JOBS
from paraqueue.reading import sentence_page

if TYPE_CHECKING:
    from paraqueue.models import Corrected, Correction, Revision, Sentence

# The largest page of sentences.
SENTENCES = 1000


def correct(
    id: str, number: int, text: str | None, *, revision: int | None = None, machine_text: str | None = None
) -> Operation[Sentence]:
    """Replace the text of a sentence, counted from 0; None restores the machine's text.

    With `revision`, the revision of the edit that you saw (0: none), ApiError (`edit_conflict`) is raised if
    somebody else has corrected it since; without it, your text wins. With `machine_text`, the recognised text that you
    saw, the same is raised if the number belongs to another sentence by now. Raises NotFound, ApiError (`expired`).
    """
    body = {"text": text} | given(revision=revision, machine_text=machine_text)
    return sentence_in((yield from request(Send("PATCH", f"{JOBS}/{id}/sentences/{number}", json=body))))


def confirm(id: str, number: int, words: Iterable[int], *, revision: int | None = None) -> Operation[Sentence]:
    """Mark recognised words of a sentence, both counted from 0, as checked by a person, instead of those known so far.

    Their confidence is then 1. For `revision` see `correct`. Raises NotFound, ApiError (`invalid_request`) for a word
    that is not there.
    """
    body = {"confirmed": list(words)} | given(revision=revision)
    return sentence_in((yield from request(Send("PATCH", f"{JOBS}/{id}/sentences/{number}", json=body))))


def history(id: str, number: int) -> Operation[tuple[Revision, ...]]:
    """The changes of a sentence, counted from 0, newest first. Raises NotFound."""
    from paraqueue.models import Revision

    answer = yield from request(Send("GET", f"{JOBS}/{id}/sentences/{number}/history"))
    return tuple(Revision.model_validate(item) for item in answer.json()["data"])


def correct_many(id: str, corrections: Iterable[Correction]) -> Operation[tuple[Corrected, ...]]:
    """Correct up to 5,000 sentences, all or none of them; returns their texts, by number. Without any, nothing is sent.

    Raises ApiError (`edit_conflict`) if a sentence is not as its correction saw it; see `correct`.
    """
    from paraqueue.models import Corrected

    body = {"corrections": [item.model_dump(exclude_unset=True) for item in corrections]}
    if not body["corrections"]:
        return ()
    answer = yield from request(Send("POST", f"{JOBS}/{id}/corrections", json=body))
    return tuple(Corrected.model_validate(item) for item in answer.json()["data"])


def replacements(
    id: str, find: str, replacement: str, *, ignore_case: bool = False
) -> Operation[tuple[Correction, ...]]:
    """The corrections that replace a text in all sentences, for `correct_many`; nothing is changed yet.

    Each holds what was read of its sentence, so that nobody's work is overwritten. Raises ValueError if `find` is
    empty.
    """
    from paraqueue.models import Correction

    if not find:
        raise ValueError("there is no text to find")
    wanted = re.compile(re.escape(find), re.IGNORECASE if ignore_case else 0)
    found: list[Correction] = []
    after: int | None = -1
    while after is not None:
        page = yield from sentence_page(id, after=after, limit=SENTENCES)
        for item in page.data:
            text = wanted.sub(lambda _: replacement, item.text)
            if text != item.text:
                revision, recognised = (item.edit.revision, item.edit.machine_text) if item.edit else (0, item.text)
                found.append(Correction(number=item.number, text=text, revision=revision, machine_text=recognised))
        after = page.next
    return tuple(found)
