"""Requests and responses about share links, and what visitors see."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.transcriptions.schemas import WarningOut
from api.transcriptions.transcript_schemas import SpeakerOut
from common import ids
from common.settings import SHORTEST_SHARE_DAYS
from common.shares import Share

Days = Annotated[float, Field(ge=SHORTEST_SHARE_DAYS, le=36_500, allow_inf_nan=False, strict=True)]


class ShareCreate(BaseModel):
    """A link to make."""

    model_config = ConfigDict(extra="forbid")

    expires_in_days: Days | None = Field(
        None, description="Lifetime in days, also a fraction of one. Default and maximum are settings."
    )
    audio: bool = Field(False, strict=True, description="Whether visitors may also hear the recording.")


class ShareOut(BaseModel):
    """A link, without its token."""

    id: str
    object: Literal["share"] = "share"
    audio: bool = Field(description="Whether visitors may hear the recording.")
    created_at: datetime
    created_by: str | None = Field(description="Id of the API key.")
    expires_at: datetime
    last_used_at: datetime | None = Field(description="To the minute.")
    views: int = Field(description="How often the transcript was opened.")


class ShareWithLink(ShareOut):
    """A link with its token, which is shown this once."""

    token: str
    url: str = Field(description="The page of the console that shows the transcript. It contains the token.")


class ShareList(BaseModel):
    """The links of a transcription, newest first."""

    object: Literal["list"] = "list"
    data: list[ShareOut]
    sharing: bool = Field(description="Whether links work and can be made.")
    default_days: float = Field(description="Lifetime of a link for which none is requested.")
    max_days: float = Field(description="Longest lifetime of a link.")


class SharedOut(BaseModel):
    """What a link shows of a transcription, besides its sentences."""

    id: str = Field(description="Id of the link.")
    object: Literal["shared_transcript"] = "shared_transcript"
    name: str | None
    audio_ms: int
    channels: int
    no_speech: bool = Field(description="True if no speech was found; the transcript is then empty.")
    warnings: list[WarningOut]
    speakers: list[SpeakerOut] | None = Field(description="Null without speaker diarization.")
    audio: bool = Field(description="Whether the recording can be heard.")
    expires_at: datetime


class SharedSentenceOut(BaseModel):
    """A sentence, as people corrected it."""

    number: int = Field(description="Number of the sentence, its id.")
    text: str
    start_ms: int
    end_ms: int
    channel: int = Field(description="From 0.")
    speaker: int | None = Field(description="Null without speakers.")


class SharedSentencePage(BaseModel):
    """Some sentences, in their order."""

    object: Literal["list"] = "list"
    data: list[SharedSentenceOut]
    next: int | None = Field(description="Value of `after` for the next page; null at the end.")


def share_out(share: Share) -> ShareOut:
    """A link as its tenant sees it."""
    return ShareOut.model_validate(_fields(share))


def with_link(share: Share, token: str, base_url: str) -> ShareWithLink:
    """A link as its maker sees it, once. Browsers do not send what follows `#`, so it is in no server's log."""
    return ShareWithLink.model_validate({**_fields(share), "token": token, "url": f"{base_url}/#/shared/{token}"})


def _fields(share: Share) -> dict[str, object]:
    return {
        "id": share.public_id,
        "audio": share.audio,
        "created_at": share.created_at,
        "created_by": ids.shown(ids.KEY, share.made_by) if share.made_by is not None else None,
        "expires_at": share.expires_at,
        "last_used_at": share.last_used_at,
        "views": share.views,
    }
