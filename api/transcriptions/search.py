"""Search in the text of transcriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query, Request
from pydantic import BaseModel, Field

from api.auth.concurrency import Concurrency
from api.deps import ReadCaller, ServiceDep, public_url, v1_router
from common import jobs

# Include it before the routes with an id in their path: "search" is not an id.
router = v1_router("/v1/transcriptions", "transcriptions")
# Each takes a thread and a connection, up to the time-out of a search; a page that searches as one types needs two.
SEARCHES = Concurrency(3)


class HitOut(BaseModel):
    """A sentence in which all words stand."""

    transcription_id: str
    name: str | None = Field(description="The file's name.")
    created_at: datetime = Field(description="When the transcription was submitted.")
    number: int = Field(description="The sentence's place in the transcript, from 0.")
    start_ms: int
    end_ms: int
    channel: int
    text: str
    snippet: str = Field(description="`text`, or of a long one the part around the first match.")
    matches: list[tuple[int, int]] = Field(description="Where the words stand in `text`: from and before which letter.")
    link: str


class HitPage(BaseModel):
    """Some sentences, those of the newest transcriptions first."""

    object: Literal["list"] = "list"
    data: list[HitOut]
    next: str | None = Field(description="Give it as `after` for the next page; null at the end.")


@router.get("/search")
def search(
    request: Request,
    service: ServiceDep,
    caller: ReadCaller,
    q: Annotated[
        str, Query(min_length=1, max_length=100, pattern=r"^[^\x00]+$", description="Words, separated by white space.")
    ],
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> HitPage:
    """The sentences in which all words of `q` stand."""
    with SEARCHES.of(caller.tenant):
        found = jobs.search(service.database, q, tenant=caller.tenant, after=after, limit=limit)
    base_url = public_url(request, service)
    data = [
        HitOut(
            transcription_id=hit.transcription_id,
            name=hit.job_name,
            created_at=hit.job_created_at,
            number=hit.number,
            start_ms=hit.start_ms,
            end_ms=hit.end_ms,
            channel=hit.channel,
            text=hit.text,
            snippet=hit.snippet,
            matches=list(hit.matches),
            link=f"{base_url}/v1/transcriptions/{hit.transcription_id}",
        )
        for hit in found.hits
    ]
    return HitPage(data=data, next=found.next_cursor)
