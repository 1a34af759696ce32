"""How a request becomes a submission: JSON with a link or the id of an upload, or a form whose file goes to storage
while it arrives."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from api.deps import Service
from api.identity import Caller
from api.multipart import FORM_SLACK_BYTES, Form, read_form
from api.schemas import Options, SubmitLink, SubmitUpload
from common import ids, jobs, uploads
from common.errors import AudioEmpty, InvalidRequest, UnknownModel, UploadTooLarge, WebhooksNotConfigured
from common.jobs import Submission

JSON_BYTES = 256 * 1024
LIST_FIELDS = {"tags", "webhook_events"}


async def linked(request: Request, service: Service, caller: Caller) -> Submission:
    """A JSON body with a link, or the id of an upload."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > JSON_BYTES:
            raise UploadTooLarge(f"a JSON body has at most {JSON_BYTES} bytes")
    try:
        if b'"upload_id"' in body:
            return await _resumed(service, caller, SubmitUpload.model_validate_json(bytes(body)))
        asked = SubmitLink.model_validate_json(bytes(body))
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None
    check_webhook(service, asked)
    return Submission(
        id=ids.new_id(),
        tenant=caller.tenant,
        key_id=caller.key_id,
        quota=caller.quota,
        model=await known_model(service, asked.model),
        channels=asked.channels,
        priority=asked.priority,
        tags=tuple(asked.tags),
        webhook_url=asked.webhook_url,
        webhook_events=tuple(asked.webhook_events) if asked.webhook_events is not None else None,
        source_kind=asked.audio_url.partition(":")[0],
        url=asked.audio_url,
        name=asked.audio_url.partition("?")[0].rpartition("/")[2][:255] or None,
    )


async def _resumed(service: Service, caller: Caller, asked: SubmitUpload) -> Submission:
    """A job of an upload that is complete already: it has the upload's id, and its bytes."""
    upload = await run_in_threadpool(
        uploads.get, service.database, ids.parsed(ids.UPLOAD, asked.upload_id), tenant=caller.tenant
    )
    upload = await run_in_threadpool(uploads.ensure_complete, service.database, service.storage, upload)
    if upload.length == 0:
        raise AudioEmpty("the uploaded file is empty")
    check_webhook(service, asked)
    return Submission(
        id=upload.id,
        tenant=caller.tenant,
        key_id=caller.key_id,
        quota=caller.quota,
        model=await known_model(service, asked.model),
        channels=asked.channels,
        priority=asked.priority,
        tags=tuple(asked.tags),
        webhook_url=asked.webhook_url,
        webhook_events=tuple(asked.webhook_events) if asked.webhook_events is not None else None,
        source_kind="upload",
        name=upload.name,
        audio_key=uploads.key_of(upload.id),
        audio_bytes=upload.length,
        audio_sha256=upload.sha256,
        resumable=True,
    )


async def uploaded(request: Request, service: Service, caller: Caller) -> Submission:
    """A form with a file, whose bytes are in storage afterwards."""
    limit = caller.limits.max_upload_bytes
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit + FORM_SLACK_BYTES:
        raise UploadTooLarge(f"the file is larger than the limit of {limit} bytes")
    job_id = ids.new_id()
    key = f"{jobs.audio_prefix(job_id)}upload"
    content_type = request.headers.get("content-type", "")
    writer = await run_in_threadpool(service.storage.writer, key)
    try:
        form = await read_form(content_type, request.stream(), writer, max_bytes=limit)
        asked = options_of(form)
        check_webhook(service, asked)
        model = await known_model(service, asked.model)
    except BaseException:
        await run_in_threadpool(writer.abort)
        await run_in_threadpool(service.storage.delete, key)
        raise
    assert form.stored is not None
    return Submission(
        id=job_id,
        tenant=caller.tenant,
        key_id=caller.key_id,
        quota=caller.quota,
        model=model,
        channels=asked.channels,
        priority=asked.priority,
        tags=tuple(asked.tags),
        webhook_url=asked.webhook_url,
        webhook_events=tuple(asked.webhook_events) if asked.webhook_events is not None else None,
        source_kind="upload",
        name=form.file_name,
        audio_key=key,
        audio_bytes=form.stored.size,
        audio_sha256=form.stored.sha256,
    )


def options_of(form: Form) -> Options:
    """The fields of a form: those that are lists may come several times, or separated by commas."""
    told: dict[str, Any] = {}
    for name, value in form.fields:
        if name in LIST_FIELDS:
            told.setdefault(name, []).extend(item.strip() for item in value.split(",") if item.strip())
        elif name in told:
            raise InvalidRequest(f"the form has more than one field {name!r}")
        else:
            told[name] = value
    try:
        return Options.model_validate(told)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None


def check_webhook(service: Service, asked: Options) -> None:
    """Refuse what could not be signed or has nobody to go to."""
    if asked.webhook_events is not None and asked.webhook_url is None:
        raise InvalidRequest("`webhook_events` is for `webhook_url`, which is missing")
    if asked.webhook_url is not None and not service.settings.webhook_secrets:
        raise WebhooksNotConfigured(
            "this installation has no secret to sign webhooks with, and sends none unsigned: set "
            "PARAQUEUE_WEBHOOK_SECRET for the API and the light worker"
        )


async def known_model(service: Service, asked: str | None) -> str:
    """The model that was asked for, or the default one. Raises UnknownModel."""
    default = service.settings.model
    if asked is None or asked == default:
        return default
    workers = await run_in_threadpool(jobs.live_workers, service.database)
    served = {default, *(worker.model for worker in workers)}
    if asked not in served:
        raise UnknownModel(f"there is no model {asked!r} here; there is: {', '.join(sorted(served))}")
    return asked
