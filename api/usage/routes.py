"""Usage reports by key, tag and other groups, as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from api.deps import DatabaseDep, ReadCaller, v1_router
from api.http.datetimes import Moment
from api.usage.schemas import UsageList, UsageOut, usage_out
from common import jobs, keys
from common.errors import Forbidden, InvalidRequest
from common.jobs import Dimension

router = v1_router("/v1/usage", "usage")
CSV = "text/csv"
# Spreadsheets treat a cell with such a start as a formula, and tags are untrusted.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@router.get("", response_model=UsageList, responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}})
def get_usage(
    request: Request,
    database: DatabaseDep,
    caller: ReadCaller,
    group_by: Annotated[str, Query(max_length=100, description="Some of `key,tag,day,model,tenant`.")] = "",
    start: Annotated[
        Moment | None, Query(alias="from", description="Default: the first day of the current month.")
    ] = None,
    end: Annotated[Moment | None, Query(alias="to", description="Unset: now.")] = None,
    all_tenants: Annotated[
        bool, Query(description="Report all tenants, not only the caller's; for the operator only.")
    ] = False,
    form: Annotated[Literal["json", "csv"] | None, Query(alias="format")] = None,
) -> Response:
    """Usage of runs that ended between `from` (inclusive) and `to` (exclusive), grouped. Days are UTC."""
    if all_tenants and not caller.operator:
        raise Forbidden("only the operator may see the usage of all tenants")
    now = datetime.now(UTC)
    start = start or now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = end or now
    tenant = None if all_tenants else caller.tenant
    rows = jobs.usage(database, tenant, group_by=_dimensions(group_by), start=start, end=end)
    names = keys.names_of(database, {item.key_id for item in rows if item.key_id is not None})
    data = [usage_out(item, names.get(item.key_id) if item.key_id else None) for item in rows]
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
