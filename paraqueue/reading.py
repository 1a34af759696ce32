"""Operations that read single sentences, search, and fetch the recording (see `paraqueue.exchange`)."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from paraqueue.errors import ParaqueueError
from paraqueue.exchange import LONGEST_PAUSE_SECONDS, Operation, Pause, Send, asked_pause, given, request
from paraqueue.exports import JOBS

if TYPE_CHECKING:
    from paraqueue.models import NumberedSentence, SearchPage, SentencePage

PREPARING = 202
# Converting ten hours of sound takes minutes; where it takes longer than this, no light worker runs.
CONVERTED_SECONDS = 900.0


def search(words: str, *, after: str | None = None, limit: int = 20) -> Operation[SearchPage]:
    """Sentences that contain all of the words, those of the newest transcriptions first."""
    from paraqueue.models import SearchPage

    params = {"q": words, "limit": limit} | given(after=after)
    answer = yield from request(Send("GET", f"{JOBS}/search", params))
    return SearchPage.model_validate_json(answer.content)


def sentence_page(id: str, *, after: int = -1, limit: int = 200) -> Operation[SentencePage]:
    """A page of numbered sentences, also of a running transcription; `after` is the number of the last one read."""
    from paraqueue.models import SentencePage

    answer = yield from request(Send("GET", f"{JOBS}/{id}/sentences", {"after": after, "limit": limit}))
    return SentencePage.model_validate_json(answer.content)


def sentence(id: str, number: int) -> Operation[NumberedSentence]:
    """One sentence by its number. Raises NotFound."""
    from paraqueue.models import NumberedSentence

    answer = yield from request(Send("GET", f"{JOBS}/{id}/sentences/{number}"))
    return NumberedSentence.model_validate_json(answer.content)


def audio(id: str, *, timeout: float | None = CONVERTED_SECONDS) -> Operation[bytes]:
    """The recording, as mp3 if browsers could not play it; waits while it is converted.

    Raises ApiError (`expired`, `not_ready`, `audio_not_decodable`), and ParaqueueError after `timeout` seconds (None:
    no limit); the conversion continues.
    """
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        answer = yield from request(Send("GET", f"{JOBS}/{id}/audio"))
        if answer.status_code != PREPARING:
            return answer.content
        left = deadline - time.monotonic()
        if left <= 0:
            raise ParaqueueError(f"the recording of {id} is still being converted after {timeout:g} s")
        yield Pause(min(asked_pause(answer) or 1.0, LONGEST_PAUSE_SECONDS, left))
