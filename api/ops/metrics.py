"""Metrics of this process and of the installation, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.deps import ExpositionDep, ReadersDep
from common.errors import Forbidden, Unauthenticated

router = APIRouter(tags=["health"])


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request, readers: ReadersDep, exposition: ExpositionDep) -> Response:
    """Metrics in Prometheus's text format, for permitted readers (`common.telemetry.metrics.Readers`)."""
    if not readers.admit(request.headers, request.client.host if request.client else None):
        if readers.need_token:
            raise Unauthenticated("the token of PARAQUEUE_METRICS_TOKEN is required: `Authorization: Bearer …`")
        raise Forbidden(
            "without PARAQUEUE_METRICS_TOKEN, metrics are available only to PARAQUEUE_METRICS_NETWORKS "
            "and not through a proxy"
        )
    text, media_type = exposition.render(request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": media_type, "Cache-Control": "no-store"})
