"""What was transcribed, for whom, and what it took: JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from api.deps import ReadCaller, ServiceDep, v1_router
from api.http.datetimes import Moment
from api.usage.schemas import UsageList, UsageOut, usage_out
from common import jobs, keys
from common.errors import Forbidden, InvalidRequest
from common.jobs import Dimension

router = v1_router("/v1/usage", "usage")
CSV = "text/csv"
# A spreadsheet takes a cell that begins so for a formula, and tags come from anybody.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@router.get("", response_model=UsageList, responses={200: {"content": {CSV: {}}}})
def usage(
    request: Request,
    service: ServiceDep,
    caller: ReadCaller,
    group_by: Annotated[str, Query(max_length=100, description="Some of `key,tag,day,model,tenant`.")] = "",
    start: Annotated[Moment | None, Query(alias="from", description="Unset: this month's first day.")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="Unset: now.")] = None,
    all_tenants: Annotated[bool, Query(description="For the operator: of all tenants, not only its own.")] = False,
    form: Annotated[Literal["json", "csv"] | None, Query(alias="format")] = None,
) -> Response:
    """Runs that ended from `from` on and before `to`, in groups. Days are those of UTC."""
    if all_tenants and not caller.operator:
        raise Forbidden("only the operator may see the usage of all tenants")
    now = datetime.now(UTC)
    start = start or now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = end or now
    tenant = None if all_tenants else caller.tenant
    found = jobs.usage(service.database, tenant, group_by=_dimensions(group_by), start=start, end=end)
    names = keys.names_of(service.database, {item.key_id for item in found if item.key_id is not None})
    data = [usage_out(item, names.get(item.key_id) if item.key_id else None) for item in found]
    if form == "csv" or (form is None and CSV in request.headers.get("accept", "")):
        headers = {"Content-Disposition": 'attachment; filename="usage.csv"', "Vary": "Accept"}
        return Response(_csv(data), headers=headers, media_type=f"{CSV}; charset=utf-8")
    body = UsageList(start=start, end=end, data=data).model_dump(mode="json")
    return JSONResponse(body, headers={"Vary": "Accept"})


def _dimensions(text: str) -> list[Dimension]:
    try:
        return [Dimension(item.strip()) for item in text.split(",") if item.strip()]
    except ValueError:
        raise InvalidRequest(f"`group_by` is a list of {', '.join(Dimension)}") from None


def _csv(data: list[UsageOut]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(UsageOut.model_fields)
    for item in data:
        row = item.model_dump(mode="json") | {"failures": json.dumps(item.failures) if item.failures else ""}
        writer.writerow([_harmless(value) for value in row.values()])
    return text.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
