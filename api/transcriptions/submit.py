"""What a request asks for: JSON with a link, several links or the id of an upload, or a form whose file goes to
storage while it arrives. And how that becomes a submission."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from api.auth.callers import Caller
from api.deps import Service
from api.http.multipart import FORM_SLACK_BYTES, Form, read_form
from api.transcriptions.schemas import Options, SubmitLink, SubmitLinks, SubmitUpload, link_of
from common import ids, jobs, uploads
from common.errors import AudioEmpty, InvalidRequest, UnknownModel, UploadTooLarge, WebhooksNotConfigured
from common.jobs import BatchSubmission, Refused, Submission
from common.storage import Stored

JSON_BYTES = 1024 * 1024
LIST_FIELDS = {"tags", "webhook_events"}


@dataclass(frozen=True, slots=True)
class Received:
    """A file of a form whose bytes are in storage; nobody else names them yet. `submission` is all but the options."""

    form: Form
    stored: Stored
    submission: Submission

    @property
    def key(self) -> str:
        """Where the bytes lie."""
        return self.submission.audio_key or ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has the right form. Two that ask for the same have the same fingerprint."""

    options: Options
    file: Received | None
    fingerprint: bytes


async def asked_by(request: Request, service: Service, caller: Caller) -> Asked:
    """Read a request's body to its end. A file is in storage then: see `discard`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        body = await _json(request)
        shape = SubmitUpload if b'"upload_id"' in body else SubmitLinks if b'"audio_urls"' in body else SubmitLink
        return read_as(request, shape, body)
    file = await received(request, service, caller)
    try:
        options = _options_of(file.form)
    except BaseException:
        await discard(service, file)
        raise
    told = f"{file.stored.sha256}\n{file.form.file_name}\n{options.model_dump_json(exclude_unset=True)}"
    return Asked(options, file, fingerprint(request, told))


async def links_asked_by(request: Request) -> Asked:
    """The body of a request for a batch."""
    return read_as(request, SubmitLinks, await _json(request))


def read_as(request: Request, shape: type[Options], body: bytes) -> Asked:
    """A JSON body of one form. What was not said does not count for the fingerprint: a later version may know more."""
    try:
        options = shape.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None
    return Asked(options, None, fingerprint(request, options.model_dump_json(exclude_unset=True)))


def fingerprint(request: Request, told: str) -> bytes:
    """What an Idempotency-Key remembers of a request."""
    return hashlib.sha256(f"{request.method} {request.url.path}\n{told}".encode()).digest()


async def _json(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > JSON_BYTES:
            raise UploadTooLarge(f"a JSON body has at most {JSON_BYTES} bytes")
    return bytes(body)


async def received(request: Request, service: Service, caller: Caller) -> Received:
    """Read a form, and put its file into storage while it arrives."""
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
    except BaseException:
        await run_in_threadpool(writer.abort)
        await run_in_threadpool(service.storage.delete, key)
        raise
    assert form.stored is not None
    submission = Submission(
        id=job_id,
        model="",
        source_kind="upload",
        name=form.file_name,
        audio_key=key,
        audio_bytes=form.stored.size,
        audio_sha256=form.stored.sha256,
    )
    return Received(form, form.stored, submission)


async def discard(service: Service, file: Received | None) -> None:
    """Delete the bytes of a file that no job was made for."""
    if file is not None:
        await run_in_threadpool(service.storage.delete, file.key)


def _options_of(form: Form) -> Options:
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


async def submission_of(service: Service, caller: Caller, asked: Asked) -> Submission:
    """The one job that is asked for. Raises what this installation does not have."""
    options = asked.options
    if isinstance(options, SubmitUpload):
        source = await _resumed(service, caller, options)
    elif isinstance(options, SubmitLink):
        source = _linked(options.audio_url)
    else:
        assert asked.file is not None
        source = asked.file.submission
    return await _with_options(service, caller, options, source)


async def batch_of(service: Service, caller: Caller, options: SubmitLinks) -> BatchSubmission:
    """The jobs that are asked for, and which links are bad. Raises InvalidRequest where all of them are."""
    batch_id = ids.new_id()
    refused: list[Refused] = []
    items: dict[int, Submission] = {}
    first = await _with_options(service, caller, options, _linked("https://"))
    for number, url in enumerate(options.audio_urls):
        try:
            link = _linked(link_of(url))
        except ValueError as error:
            refused.append(Refused(number, InvalidRequest.code, f"audio_urls.{number}: {error}"))
        else:
            items[number] = replace(
                first,
                id=link.id,
                url=link.url,
                name=link.name,
                source_kind=link.source_kind,
                batch_id=batch_id,
                batch_number=number,
            )
    if not items:
        raise InvalidRequest("; ".join(item.message for item in refused[:5]))
    return BatchSubmission(batch_id, items, tuple(refused))


def _linked(url: str) -> Submission:
    name = url.partition("?")[0].rpartition("/")[2][:255] or None
    return Submission(id=ids.new_id(), model="", source_kind=url.partition(":")[0], url=url, name=name)


async def _resumed(service: Service, caller: Caller, asked: SubmitUpload) -> Submission:
    """Of an upload that is complete already: the job has the upload's id, and its bytes."""
    upload = await run_in_threadpool(
        uploads.get, service.database, ids.parsed(ids.UPLOAD, asked.upload_id), tenant=caller.tenant
    )
    upload = await run_in_threadpool(uploads.ensure_complete, service.database, service.storage, upload)
    if upload.length == 0:
        raise AudioEmpty("the uploaded file is empty")
    return Submission(
        id=upload.id,
        model="",
        source_kind="upload",
        name=upload.name,
        audio_key=uploads.key_of(upload.id),
        audio_bytes=upload.length,
        audio_sha256=upload.sha256,
        resumable=True,
    )


async def _with_options(service: Service, caller: Caller, asked: Options, source: Submission) -> Submission:
    check_webhook(service, asked)
    return replace(
        source,
        tenant=caller.tenant,
        key_id=caller.key_id,
        quota=caller.quota,
        model=await known_model(service, asked.model),
        channels=asked.channels,
        priority=asked.priority,
        tags=tuple(asked.tags),
        dedupe=asked.dedupe,
        webhook_url=asked.webhook_url,
        webhook_events=tuple(asked.webhook_events) if asked.webhook_events is not None else None,
    )


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
