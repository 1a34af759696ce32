"""Parse submissions and turn them into jobs.

A request is JSON with a link, several links or the id of an upload, or a form whose file goes to storage as it arrives.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json

from api.auth.callers import Caller
from api.deps import Service
from api.http.bodies import without_surplus
from api.http.body_limits import announced_bytes
from api.http.multipart import FORM_SLACK_BYTES, Form, read_form
from api.http.threads import in_storage_thread, in_thread
from api.transcriptions.submitting.checks import Applied, applied_to, checked_options, wanted_summary
from api.transcriptions.submitting.options import Options, SubmitLink, SubmitLinks, SubmitUpload
from common import audio_keys, file_names, ids, uploads
from common.db import Database
from common.errors import AudioEmpty, Forbidden, InvalidRequest, UploadTooLarge
from common.jobs import BatchSubmission, Refused, Submission
from common.links import audio_link
from common.storage import Storage

# Parsing one takes less time than a change of threads.
SHORT_BODY_BYTES = 4096
LIST_FIELDS = {"tags", "webhook_events", "masked_words", "hotwords"}


def shape_of(value: Any) -> type[Options]:
    """Choose the audio's source by the fields of the parsed object; a link if none of them is present."""
    named = value if isinstance(value, dict) else {}
    return SubmitUpload if "upload_id" in named else SubmitLinks if "audio_urls" in named else SubmitLink


@dataclass(frozen=True, slots=True)
class Audio:
    """The audio of a future job: a link, or bytes in storage. The job will have the same `id`."""

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
    """A form's file, whose bytes are in storage, and its other fields. No database row refers to the bytes yet."""

    fields: list[tuple[str, str]]
    audio: Audio


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed request. Identical requests have the same fingerprint."""

    options: Options
    file: Received | None
    fingerprint: bytes


async def asked_by(request: Request, storage: Storage, caller: Caller) -> Asked:
    """Read a request's body to its end. Its file, if any, is then in storage: see `discard`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return await _read_json(request, shape_of)
    file = await received(request, storage, caller.limits.max_upload_bytes)
    try:
        options = _options_of(file.fields)
    except BaseException:
        await discard(storage, file)
        raise
    content = f"{file.audio.sha256}\n{file.audio.name}\n{options.model_dump_json(exclude_unset=True)}"
    return Asked(options, file, fingerprint(request, content))


async def links_asked_by(request: Request) -> Asked:
    """Read the body of a batch request."""
    return await _read_json(request, lambda _: SubmitLinks)


async def _read_json(request: Request, shape: Callable[[Any], type[Options]]) -> Asked:
    """Read a JSON body. Unset fields do not count for the fingerprint: a later version may have more of them."""
    body = await request.body()
    options = await in_thread(_parsed, body, shape) if len(body) > SHORT_BODY_BYTES else _parsed(body, shape)
    return Asked(options, None, fingerprint(request, options.model_dump_json(exclude_unset=True)))


def _parsed(body: bytes, shape: Callable[[Any], type[Options]]) -> Options:
    """Parse the options in a JSON body. Slow for long ones: keep off the event loop. Raises RequestValidationError."""
    try:
        value = from_json(body)
    except ValueError as error:
        wrong = {"type": "json_invalid", "loc": ("body",), "msg": f"Invalid JSON: {error}", "input": None}
        raise RequestValidationError([wrong]) from None
    chosen = shape(value)
    try:
        return chosen.model_validate(without_surplus(value, chosen))
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None


def fingerprint(request: Request, content: str) -> bytes:
    """Return the hash of a request that is stored with an Idempotency-Key."""
    return hashlib.sha256(f"{request.method} {request.url.path}\n{content}".encode()).digest()


async def received(request: Request, storage: Storage, limit: int) -> Received:
    """Read a form and stream its file, of at most `limit` bytes, to storage."""
    if announced_bytes(request.headers) > limit + FORM_SLACK_BYTES:
        raise UploadTooLarge(f"the file is larger than the limit of {limit} bytes")
    job_id = ids.new_id()
    key = audio_keys.upload(job_id)
    content_type = request.headers.get("content-type", "")
    writer = await in_storage_thread(storage.writer, key)
    try:
        form = await read_form(content_type, request.stream(), writer, max_bytes=limit)
    except BaseException:
        await in_storage_thread(writer.abort)
        await in_storage_thread(storage.delete, key)
        raise
    return Received(form.fields, _stored(form, job_id, key))


def _stored(form: Form, job_id: uuid.UUID, key: str) -> Audio:
    assert form.stored is not None
    return Audio(job_id, "upload", form.file_name, key=key, size=form.stored.size, sha256=form.stored.sha256)


async def discard(storage: Storage, file: Received | None) -> None:
    """Delete the bytes of a file for which no job was created."""
    if file is not None and file.audio.key is not None:
        await in_storage_thread(storage.delete, file.audio.key)


def _options_of(fields: list[tuple[str, str]]) -> Options:
    """Parse the fields of a form: list fields may be repeated, or separated by commas."""
    values: dict[str, Any] = {}
    for name, value in fields:
        if name in LIST_FIELDS:
            values.setdefault(name, []).extend(item.strip() for item in value.split(",") if item.strip())
        elif name in values:
            raise InvalidRequest(f"the form has more than one field {name!r}")
        else:
            values[name] = value
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None


async def submission_of(service: Service, caller: Caller, parsed: Asked) -> Submission:
    """Return the submission of a single job. Raises errors for what this installation does not support."""
    options = parsed.options
    model = await checked_options(service, options)
    applied = await applied_to(service.database, caller.tenant, options)
    summary = await wanted_summary(service, caller.tenant, options)
    if isinstance(options, SubmitUpload):
        audio = await _resumed(service.database, service.storage, caller.tenant, options)
    elif isinstance(options, SubmitLink):
        audio = _linked(options.audio_url)
    else:
        assert parsed.file is not None
        audio = parsed.file.audio
    return replace(made_of(caller, audio, model, options, applied), summary=summary)


async def batch_of(service: Service, caller: Caller, options: SubmitLinks) -> BatchSubmission:
    """Return the jobs of a batch, and which links are bad. Raises InvalidRequest if all of them are."""
    batch_id = ids.new_id()
    refused: list[Refused] = []
    items: dict[int, Submission] = {}
    model = await checked_options(service, options)
    applied = await applied_to(service.database, caller.tenant, options)
    summary = await wanted_summary(service, caller.tenant, options)
    for number, url in enumerate(options.audio_urls):
        try:
            audio = _linked(audio_link(url))
        except ValueError as error:
            refused.append(Refused(number, InvalidRequest.code, f"audio_urls.{number}: {error}"))
        else:
            made = made_of(caller, audio, model, options, applied, batch=(batch_id, number))
            items[number] = replace(made, summary=summary)
    if not items:
        raise InvalidRequest("; ".join(item.message for item in refused[:5]))
    return BatchSubmission(batch_id, items, tuple(refused))


def _linked(url: str) -> Audio:
    return Audio(ids.new_id(), url.partition(":")[0], file_names.of_link(url), url=url)


async def _resumed(database: Database, storage: Storage, tenant: str, body: SubmitUpload) -> Audio:
    """Return the audio of a completed upload: the job takes over the upload's id and its bytes."""
    upload = await in_thread(uploads.get, database, ids.parsed(ids.UPLOAD, body.upload_id), tenant=tenant)
    upload = await in_thread(uploads.ensure_complete, database, storage, upload)
    if upload.length == 0:
        raise AudioEmpty("the uploaded file is empty")
    key = audio_keys.upload(upload.id)
    return Audio(upload.id, "upload", upload.name, key=key, size=upload.length, sha256=upload.sha256, resumable=True)


def made_of(
    caller: Caller,
    audio: Audio,
    model: str,
    options: Options,
    applied: Applied,
    *,
    batch: tuple[uuid.UUID | None, int | None] = (None, None),
) -> Submission:
    """Build a submission from caller, audio and options. The only function that does so.

    `batch`: the batch of the job, and its number there.
    """
    events, batch_id, batch_number = options.webhook_events, *batch
    return Submission(
        id=audio.id,
        model=model,
        source_kind=audio.kind,
        channels=options.channels,
        audio_track=options.audio_track.lower(),
        options=applied.options,
        words=applied.words,
        priority=_priority(caller, options),
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


def _priority(caller: Caller, options: Options) -> int:
    """The priority of a job. Raises Forbidden for one that the caller's key may not ask for."""
    if options.priority > caller.max_priority and "priority" in options.model_fields_set:
        raise Forbidden(f"the highest priority of this key is {caller.max_priority}; {options.priority} was requested")
    return min(options.priority, caller.max_priority)
