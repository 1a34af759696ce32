"""Templates for summaries: create, list, read, change, delete."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends, Request, Response

from api.deps import DatabaseDep, ReadCaller, SubmitAndReadCaller, public_url, v1_router
from api.http.error_responses import errors_of
from api.http.paging import After, Limit
from api.summaries.schemas import (
    SummaryTemplateCreate,
    SummaryTemplateList,
    SummaryTemplateOut,
    SummaryTemplateUpdate,
    template_out,
)
from common import errors, ids, summaries
from common.summaries import TemplateChange

router = v1_router("/v1/summary-templates", "summaries")


async def template_uuid(template_id: str) -> uuid.UUID:
    """Return the UUID of a template id in a path. Raises NotFound if it is not a valid template id."""
    return ids.parsed(ids.SUMMARY_TEMPLATE, template_id)


TemplateId = Annotated[uuid.UUID, Depends(template_uuid)]


@router.post("", status_code=201, responses=errors_of(errors.TooManySummaryTemplates, errors.SummaryTemplateNameTaken))
def create_summary_template(
    request: Request,
    response: Response,
    database: DatabaseDep,
    caller: SubmitAndReadCaller,
    body: SummaryTemplateCreate,
) -> SummaryTemplateOut:
    """Create a template. Summaries use it if they are requested with its id."""
    template = summaries.create_template(database, tenant=caller.tenant, name=body.name, prompt=body.prompt)
    response.headers["Location"] = f"{public_url(request)}/v1/summary-templates/{template.public_id}"
    return template_out(template)


@router.get("")
def list_summary_templates(
    database: DatabaseDep,
    caller: ReadCaller,
    after: After = None,
    limit: Limit = 20,
) -> SummaryTemplateList:
    """A page of templates, newest first."""
    page = summaries.template_page(database, tenant=caller.tenant, after=after, limit=limit)
    return SummaryTemplateList(data=[template_out(item) for item in page.templates], next=page.next_cursor)


@router.get("/{template_id}")
def get_summary_template(database: DatabaseDep, caller: ReadCaller, template: TemplateId) -> SummaryTemplateOut:
    """A template."""
    return template_out(summaries.get_template(database, template, tenant=caller.tenant))


@router.patch("/{template_id}", responses=errors_of(errors.SummaryTemplateNameTaken, errors.SummaryTemplateChanged))
def update_summary_template(
    database: DatabaseDep, caller: SubmitAndReadCaller, template: TemplateId, body: SummaryTemplateUpdate
) -> SummaryTemplateOut:
    """Change a template. Summaries that were requested before keep the old one."""
    changes = TemplateChange(body.name, body.prompt, body.revision)
    return template_out(summaries.change_template(database, template, changes, tenant=caller.tenant))


@router.delete("/{template_id}", status_code=204, response_class=Response)
def delete_summary_template(database: DatabaseDep, caller: SubmitAndReadCaller, template: TemplateId) -> None:
    """Delete a template. Summaries that were made with it keep their instructions."""
    summaries.remove_template(database, template, tenant=caller.tenant)
