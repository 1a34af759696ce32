"""What a request asks for: JSON with a link, several links or the id of an upload, or a form whose file goes to
storage while it arrives. And how that becomes a submission."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from api.auth.callers import Caller
from api.deps import Service
from api.http.body_limits import announced_bytes
from api.http.multipart import FORM_SLACK_BYTES, Form, read_form
from api.transcriptions.schemas import Options, SubmitLink, SubmitLinks, SubmitUpload, link_of
from common import audio_keys, ids, jobs, uploads
from common.db import Database
from common.errors import AudioEmpty, InvalidRequest, UnknownModel, UploadTooLarge, WebhooksNotConfigured
from common.jobs import BatchSubmission, Refused, Submission
from common.settings import Settings
from common.storage import Storage

LIST_FIELDS = {"tags", "webhook_events"}
# Each unknown field is an error of its own; a body may hold tens of thousands of them.
UNKNOWN_FIELDS = 20


def shape_of(value: Any) -> type[Options]:
    """Which way the audio comes, by the fields of the parsed object; a link where none of them is there."""
    named = value if isinstance(value, dict) else {}
    return SubmitUpload if "upload_id" in named else SubmitLinks if "audio_urls" in named else SubmitLink


@dataclass(frozen=True, slots=True)
class Audio:
    """Where the audio of a job to be comes from: a link, or bytes in storage. The job gets the same `id`."""

    id: uuid.UUID
    kind: str
    name: str | None
    url: str | None = None
    key: str | None = None
    size: int | None = None
    sha256: str | None = None
    resumable: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """A file of a form whose bytes are in storage, and the other fields. No row names the bytes yet."""

    fields: list[tuple[str, str]]
    audio: Audio


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has the right form. Two that ask for the same have the same fingerprint."""

    options: Options
    file: Received | None
    fingerprint: bytes


async def asked_by(request: Request, storage: Storage, caller: Caller) -> Asked:
    """Read a request's body to its end. A file is in storage then: see `discard`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return await _read_json(request, shape_of)
    file = await received(request, storage, caller.limits.max_upload_bytes)
    try:
        options = _options_of(file.fields)
    except BaseException:
        await discard(storage, file)
        raise
    told = f"{file.audio.sha256}\n{file.audio.name}\n{options.model_dump_json(exclude_unset=True)}"
    return Asked(options, file, fingerprint(request, told))


async def links_asked_by(request: Request) -> Asked:
    """The body of a request for a batch."""
    return await _read_json(request, lambda _: SubmitLinks)


async def _read_json(request: Request, shape: Callable[[Any], type[Options]]) -> Asked:
    """A JSON body. What was not said does not count for the fingerprint: a later version may know more."""
    options = await run_in_threadpool(_parsed, await request.body(), shape)
    return Asked(options, None, fingerprint(request, options.model_dump_json(exclude_unset=True)))


def _parsed(body: bytes, shape: Callable[[Any], type[Options]]) -> Options:
    """The options in a JSON body. Slow for large ones: keep it off the event loop. Raises RequestValidationError."""
    try:
        value = from_json(body)
    except ValueError as error:
        wrong = {"type": "json_invalid", "loc": ("body",), "msg": f"Invalid JSON: {error}", "input": None}
        raise RequestValidationError([wrong]) from None
    chosen = shape(value)
    try:
        return chosen.model_validate(_without_surplus(value, chosen))
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None


def _without_surplus(value: Any, shape: type[Options]) -> Any:
    """The object without those of its unknown fields that are too many to be named in an answer."""
    if not isinstance(value, dict):
        return value
    surplus = set([name for name in value if name not in shape.model_fields][UNKNOWN_FIELDS:])
    return {name: item for name, item in value.items() if name not in surplus}


def fingerprint(request: Request, told: str) -> bytes:
    """What an Idempotency-Key remembers of a request."""
    return hashlib.sha256(f"{request.method} {request.url.path}\n{told}".encode()).digest()


async def received(request: Request, storage: Storage, limit: int) -> Received:
    """Read a form, and put its file, of at most `limit` bytes, into storage while it arrives."""
    if announced_bytes(request.headers) > limit + FORM_SLACK_BYTES:
        raise UploadTooLarge(f"the file is larger than the limit of {limit} bytes")
    job_id = ids.new_id()
    key = audio_keys.upload(job_id)
    content_type = request.headers.get("content-type", "")
    writer = await run_in_threadpool(storage.writer, key)
    try:
        form = await read_form(content_type, request.stream(), writer, max_bytes=limit)
    except BaseException:
        await run_in_threadpool(writer.abort)
        await run_in_threadpool(storage.delete, key)
        raise
    return Received(form.fields, _stored(form, job_id, key))


def _stored(form: Form, job_id: uuid.UUID, key: str) -> Audio:
    assert form.stored is not None
    return Audio(job_id, "upload", form.file_name, key=key, size=form.stored.size, sha256=form.stored.sha256)


async def discard(storage: Storage, file: Received | None) -> None:
    """Delete the bytes of a file that no job was made for."""
    if file is not None and file.audio.key is not None:
        await run_in_threadpool(storage.delete, file.audio.key)


def _options_of(fields: list[tuple[str, str]]) -> Options:
    """The fields of a form: those that are lists may come several times, or separated by commas."""
    told: dict[str, Any] = {}
    for name, value in fields:
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
    model = await checked_options(service.database, service.settings, options)
    if isinstance(options, SubmitUpload):
        audio = await _resumed(service.database, service.storage, caller.tenant, options)
    elif isinstance(options, SubmitLink):
        audio = _linked(options.audio_url)
    else:
        assert asked.file is not None
        audio = asked.file.audio
    return made_of(caller, audio, model, options)


async def batch_of(service: Service, caller: Caller, options: SubmitLinks) -> BatchSubmission:
    """The jobs that are asked for, and which links are bad. Raises InvalidRequest where all of them are."""
    batch_id = ids.new_id()
    refused: list[Refused] = []
    items: dict[int, Submission] = {}
    model = await checked_options(service.database, service.settings, options)
    for number, url in enumerate(options.audio_urls):
        try:
            audio = _linked(link_of(url))
        except ValueError as error:
            refused.append(Refused(number, InvalidRequest.code, f"audio_urls.{number}: {error}"))
        else:
            items[number] = made_of(caller, audio, model, options, batch_id=batch_id, batch_number=number)
    if not items:
        raise InvalidRequest("; ".join(item.message for item in refused[:5]))
    return BatchSubmission(batch_id, items, tuple(refused))


def _linked(url: str) -> Audio:
    name = url.partition("?")[0].rpartition("/")[2][:255] or None
    return Audio(ids.new_id(), url.partition(":")[0], name, url=url)


async def _resumed(database: Database, storage: Storage, tenant: str, asked: SubmitUpload) -> Audio:
    """Of an upload that is complete already: the job has the upload's id, and its bytes."""
    upload = await run_in_threadpool(uploads.get, database, ids.parsed(ids.UPLOAD, asked.upload_id), tenant=tenant)
    upload = await run_in_threadpool(uploads.ensure_complete, database, storage, upload)
    if upload.length == 0:
        raise AudioEmpty("the uploaded file is empty")
    key = audio_keys.upload(upload.id)
    return Audio(upload.id, "upload", upload.name, key=key, size=upload.length, sha256=upload.sha256, resumable=True)


def made_of(
    caller: Caller,
    audio: Audio,
    model: str,
    options: Options,
    *,
    batch_id: uuid.UUID | None = None,
    batch_number: int | None = None,
) -> Submission:
    """The submission of a caller, of audio, with options. The only place that makes one."""
    events = options.webhook_events
    return Submission(
        id=audio.id,
        model=model,
        source_kind=audio.kind,
        channels=options.channels,
        audio_track=options.audio_track.lower(),
        priority=options.priority,
        tags=tuple(options.tags),
        url=audio.url,
        name=audio.name,
        audio_key=audio.key,
        audio_bytes=audio.size,
        audio_sha256=audio.sha256,
        webhook_url=options.webhook_url,
        webhook_events=tuple(events) if events is not None else None,
        tenant=caller.tenant,
        key_id=caller.key_id,
        dedupe=options.dedupe,
        batch_id=batch_id,
        batch_number=batch_number,
        resumable=audio.resumable,
        quota=caller.quota,
    )


async def checked_options(database: Database, settings: Settings, options: Options) -> str:
    """The model to use. Raises UnknownModel, and what is wrong with the webhook that was asked for."""
    _check_webhook(settings, options)
    return await known_model(database, settings.model, options.model, options.language)


def _check_webhook(settings: Settings, asked: Options) -> None:
    """Refuse what could not be signed or has nobody to go to."""
    if asked.webhook_events is not None and asked.webhook_url is None:
        raise InvalidRequest("`webhook_events` requires `webhook_url`")
    if asked.webhook_url is not None and not settings.webhook_secrets:
        raise WebhooksNotConfigured(
            "webhooks to `webhook_url` are not configured, and none is sent unsigned: set "
            "PARAQUEUE_WEBHOOK_SECRET for the API and the light worker"
        )


async def known_model(database: Database, default: str, asked: str | None, language: str | None) -> str:
    """The model that was asked for, or the default one. Raises UnknownModel, and UnsupportedLanguage."""
    model = asked or default
    if model != default:
        workers = await run_in_threadpool(jobs.live_workers, database)
        served = {default, *(worker.model for worker in workers)}
        if model not in served:
            raise UnknownModel(f"unknown model {model!r}; available: {', '.join(sorted(served))}")
    if language is not None:
        card = await run_in_threadpool(jobs.known_card, database, model)
        card.check_language(model, language)
    return model
