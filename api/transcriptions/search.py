"""Search in the text of transcriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query, Request
from pydantic import BaseModel, Field

from api.auth.concurrency import Concurrency
from api.deps import DatabaseDep, ReadCaller, public_url, v1_router
from api.http.paging import After, Limit
from common import jobs

# Include it before the routes with an id in their path: "search" is not an id.
router = v1_router("/v1/transcriptions", "transcriptions")
# Each takes a thread and a connection, up to the time-out of a search; a page that searches as one types needs two.
SEARCHES = Concurrency(3)


class HitOut(BaseModel):
    """A sentence that contains all words."""

    transcription_id: str
    name: str | None = Field(description="The transcription's name.")
    created_at: datetime = Field(description="When the transcription was submitted.")
    number: int = Field(description="Number of the sentence in the transcript, from 0.")
    start_ms: int
    end_ms: int
    channel: int
    speaker: int | None = Field(description="The speaker's number; null without speaker diarization.")
    speaker_name: str | None = Field(description="As a person named the speaker.")
    text: str
    snippet: str = Field(description="The sentence's text; for a long sentence, the part around the first match.")
    matches: list[tuple[int, int]] = Field(
        description="Matches in `text`: index of the first character, and of the first character after the match."
    )
    link: str


class HitPage(BaseModel):
    """Some sentences, those of the newest transcriptions first."""

    object: Literal["list"] = "list"
    data: list[HitOut]
    capped: bool = Field(
        description="Whether only the newest sentences were searched, because the words of `q` have one letter each."
    )
    next: str | None = Field(description="Value of `after` for the next page; null on the last page.")


@router.get("/search")
def search_sentences(
    request: Request,
    database: DatabaseDep,
    caller: ReadCaller,
    q: Annotated[
        str, Query(min_length=1, max_length=100, pattern=r"^[^\x00]+$", description="Words separated by white space.")
    ],
    after: After = None,
    limit: Limit = 20,
) -> HitPage:
    """Sentences that contain all words of `q`."""
    with SEARCHES.of(caller.tenant):
        results = jobs.search(database, q, tenant=caller.tenant, after=after, limit=limit)
    base_url = public_url(request)
    data = [
        HitOut(
            transcription_id=hit.transcription_id,
            name=hit.job_name,
            created_at=hit.job_created_at,
            number=hit.number,
            start_ms=hit.start_ms,
            end_ms=hit.end_ms,
            channel=hit.channel,
            speaker=hit.speaker,
            speaker_name=hit.speaker_name,
            text=hit.text,
            snippet=hit.snippet,
            matches=list(hit.matches),
            link=f"{base_url}/v1/transcriptions/{hit.transcription_id}",
        )
        for hit in results.hits
    ]
    return HitPage(data=data, capped=results.capped, next=results.next_cursor)
