"""What routes are given: the parts of the running service."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Annotated, cast

from celery import Celery
from fastapi import Depends, Request

from api.changes import Changes
from common import ids
from common.db import Database
from common.jobs import Dispatcher, Outlook
from common.settings import Settings
from common.storage import Storage
from common.uploads import Hashes


@dataclass(frozen=True, slots=True)
class Service:
    """Made once in the lifespan, shared by all requests."""

    settings: Settings
    database: Database
    storage: Storage
    queue: Celery
    dispatcher: Dispatcher
    outlook: Outlook
    changes: Changes
    hashes: Hashes


def get_service(request: Request) -> Service:
    """The service that this app runs."""
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(get_service)]


def public_url(request: Request, service: Service) -> str:
    """Where clients see the API, without a slash at the end."""
    return (service.settings.public_url or str(request.base_url)).rstrip("/")


def job_uuid(transcription_id: str) -> uuid.UUID:
    """The job behind an id in a path. Raises NotFound for anything that is not such an id."""
    return ids.parsed(ids.JOB, transcription_id)
