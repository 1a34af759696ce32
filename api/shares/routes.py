"""Share links of a transcription: create, list, revoke."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends, Request, Response

from api.deps import DatabaseDep, ReadCaller, SettingsDep, SubmitAndReadCaller, job_uuid, public_url, v1_router
from api.http.error_responses import errors_of
from api.shares.schemas import ShareCreate, ShareList, ShareWithLink, share_out, with_link
from common import errors, ids, jobs, shares
from common.errors import InvalidRequest, SharingOff
from common.settings import DAY_SECONDS, ShareSettings
from common.shares import NewShare

router = v1_router("/v1/transcriptions", "shares")
JobId = Annotated[uuid.UUID, Depends(job_uuid)]


async def share_uuid(share_id: str) -> uuid.UUID:
    """Return the UUID of a share id in a path. Raises NotFound if it is not a valid share id."""
    return ids.parsed(ids.SHARE, share_id)


@router.post(
    "/{transcription_id}/shares",
    status_code=201,
    responses=errors_of(errors.SharingOff, errors.TooManyShares, errors.NotReady, errors.NoTranscript, errors.Expired),
)
def create_share(
    request: Request,
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
    caller: SubmitAndReadCaller,
    job_id: JobId,
    body: ShareCreate | None = None,
) -> ShareWithLink:
    """Create a link with which anybody can read this transcript without a key. It cannot be read again.

    The link shows the name, the length, the speakers and the text as corrected by then, and nothing else. It ends with
    the API key that made it.
    """
    wanted = body or ShareCreate()
    if settings.share_links == "off":
        raise SharingOff("sharing is switched off for this installation")
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=False)
    new = NewShare(
        job_id=job.id,
        tenant=caller.tenant,
        made_by=caller.key_id,
        seconds=_days(wanted, settings) * DAY_SECONDS,
        audio=wanted.audio,
        latest=caller.expires_at,
    )
    share, token = shares.create(database, new, settings.share_max_seconds)
    response.headers["Cache-Control"] = "no-store"
    return with_link(share, token, public_url(request))


def _days(wanted: ShareCreate, settings: ShareSettings) -> float:
    """Return the lifetime of a link in days. Raises InvalidRequest."""
    if wanted.expires_in_days is None:
        return min(settings.share_default_days, settings.share_max_days)
    if wanted.expires_in_days > settings.share_max_days:
        raise InvalidRequest(f"`expires_in_days` cannot exceed {settings.share_max_days:g}")
    return wanted.expires_in_days


@router.get("/{transcription_id}/shares")
def list_shares(database: DatabaseDep, settings: SettingsDep, caller: ReadCaller, job_id: JobId) -> ShareList:
    """The links to this transcript that work, newest first, without their tokens; at most 20."""
    job = jobs.get(database, job_id, tenant=caller.tenant)
    return ShareList(
        data=[share_out(share) for share in shares.of_job(database, job.id, settings.share_max_seconds)],
        sharing=settings.share_links == "on" and shares.permitted(database, caller.tenant),
        default_days=min(settings.share_default_days, settings.share_max_days),
        max_days=settings.share_max_days,
    )


@router.delete("/{transcription_id}/shares/{share_id}", status_code=204, response_class=Response)
def revoke_share(
    database: DatabaseDep,
    caller: SubmitAndReadCaller,
    job_id: JobId,
    share: Annotated[uuid.UUID, Depends(share_uuid)],
) -> None:
    """End a link at once."""
    job = jobs.get(database, job_id, tenant=caller.tenant)
    shares.revoke(database, job.id, share)
