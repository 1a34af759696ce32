"""What can be asked of the service, each call once (see `paraqueue.exchange`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from paraqueue.errors import JobEnded, WaitedTooLong
from paraqueue.exchange import Operation, Pause, Send, idempotent, request
from paraqueue.models import COMPLETED, Model, Page, Sentence, Transcript, Transcription, Usage
from paraqueue.uploads import OnUpload, UploadMemory, upload

JOBS = "/v1/transcriptions"
LINKS = ("http://", "https://", "s3://", "oss://")
# One long poll; the service allows 60.
POLL_SECONDS = 30.0
TextFormat = Literal["txt", "srt", "vtt", "ass", "json"]
OnChange = Callable[[Transcription], None]


def is_link(source: str | Path) -> bool:
    """Whether this is a link for the service to fetch, not a file here."""
    return isinstance(source, str) and source.lower().startswith(LINKS)


def submit(
    source: str | Path,
    *,
    model: str | None = None,
    channels: Literal["mix", "split", "auto"] | None = None,
    audio_track: str | None = None,
    priority: int | None = None,
    tags: Sequence[str] = (),
    webhook_url: str | None = None,
    webhook_events: Sequence[str] | None = None,
    dedupe: bool | None = None,
    on_upload: OnUpload | None = None,
    memory: UploadMemory | None = None,
) -> Operation[Transcription]:
    """Submit a file (its path) or a link (http, https, s3, oss); returns at once with the queued transcription.

    A file is uploaded first, in pieces that are sent again where the connection breaks; `on_upload` is called
    with the bytes arrived and all bytes. What is None is left to the service. Raises OSError, ApiError,
    ConnectionFailed.
    """
    options = {
        "model": model,
        "channels": channels,
        "audio_track": audio_track,
        "priority": priority,
        "tags": list(tags) or None,
        "webhook_url": webhook_url,
        "webhook_events": list(webhook_events) if webhook_events is not None else None,
        "dedupe": dedupe,
    }
    body: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if is_link(source):
        body["audio_url"] = str(source)
    else:
        body["upload_id"] = yield from upload(Path(source), on_upload=on_upload, memory=memory)
    answer = yield from idempotent(Send("POST", JOBS, json=body))
    return Transcription.model_validate_json(answer.content)


def get(id: str) -> Operation[Transcription]:
    """A transcription as it stands. Raises NotFound."""
    return (yield from _transcription(Send("GET", f"{JOBS}/{id}")))


def page(
    *,
    status: str | None = None,
    tag: str | None = None,
    after: str | None = None,
    limit: int = 20,
) -> Operation[Page]:
    """Some transcriptions, newest first; `after` is the `next` of the page before."""
    asked = {"status": status, "tag": tag, "after": after, "limit": limit}
    params = {name: value for name, value in asked.items() if value is not None}
    answer = yield from request(Send("GET", JOBS, params))
    return Page.model_validate_json(answer.content)


def wait(id: str, *, timeout: float | None = None, on_change: OnChange | None = None) -> Operation[Transcription]:
    """Wait until a transcription has ended, however; `on_change` is called whenever it looks different.

    Raises WaitedTooLong after `timeout` seconds (None: no limit); the transcription itself goes on.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    told: Transcription | None = None
    while True:
        left = POLL_SECONDS if deadline is None else max(0.0, min(POLL_SECONDS, deadline - time.monotonic()))
        # Somebody who watches wants to see it move; the long poll answers only at the end.
        seconds = min(left, 1.0) if on_change else left
        send = Send("GET", f"{JOBS}/{id}", {"wait": f"{seconds:.1f}"}, timeout=seconds + 30)
        current = yield from _transcription(send)
        if on_change and current != told:
            on_change(current)
        told = current
        if current.ended:
            return current
        if deadline is not None and time.monotonic() >= deadline:
            raise WaitedTooLong(current, timeout or 0.0)
        yield Pause(0.0)


def transcript(id: str, *, partial: bool = False, machine: bool = False) -> Operation[Transcript]:
    """The transcript; with `partial` what there is so far, with `machine` without what people corrected.

    Raises ApiError (`not_ready`, `no_transcript`, `expired`).
    """
    answer = yield from request(_reading(id, "json", partial=partial, machine=machine))
    return Transcript.model_validate_json(answer.content)


def text(id: str, format: TextFormat = "txt", *, partial: bool = False, machine: bool = False) -> Operation[str]:
    """The transcript as a text: `txt`, `srt`, `vtt`, or `json`; the rest as in `transcript`."""
    answer = yield from request(_reading(id, format, partial=partial, machine=machine))
    return answer.content.decode()


def _reading(id: str, format: TextFormat, *, partial: bool, machine: bool) -> Send:
    params = {"format": format, "partial": str(partial).lower(), "text": "machine" if machine else "edited"}
    return Send("GET", f"{JOBS}/{id}/transcript", params)


def correct(id: str, number: int, text: str | None, *, revision: int | None = None) -> Operation[Sentence]:
    """Put `text` in the place of a sentence, counted from 0; None brings the machine's text back.

    With `revision`, that of the edit that you saw (0: none), ApiError (`edit_conflict`) is raised where somebody else
    corrected it since; without it your text wins. Raises NotFound, ApiError (`expired`).
    """
    body = {"text": text} if revision is None else {"text": text, "revision": revision}
    answer = yield from request(Send("PATCH", f"{JOBS}/{id}/sentences/{number}", json=body))
    return Sentence.model_validate_json(answer.content)


def transcribe(
    source: str | Path,
    *,
    timeout: float | None = None,
    on_change: OnChange | None = None,
    model: str | None = None,
    channels: Literal["mix", "split", "auto"] | None = None,
    audio_track: str | None = None,
    priority: int | None = None,
    tags: Sequence[str] = (),
    dedupe: bool | None = None,
    on_upload: OnUpload | None = None,
    memory: UploadMemory | None = None,
) -> Operation[Transcript]:
    """Submit, wait, read: see `submit`, `wait`, `transcript`. Raises JobEnded where there is no transcript to come."""
    job = yield from submit(
        source,
        model=model,
        channels=channels,
        audio_track=audio_track,
        priority=priority,
        tags=tags,
        dedupe=dedupe,
        on_upload=on_upload,
        memory=memory,
    )
    ended = yield from wait(job.id, timeout=timeout, on_change=on_change)
    if ended.status != COMPLETED:
        raise JobEnded(ended)
    return (yield from transcript(job.id))


def cancel(id: str) -> Operation[Transcription]:
    """Ask to cancel; a worker that has it stops within seconds. Raises ApiError (`wrong_state`)."""
    return (yield from _transcription(Send("POST", f"{JOBS}/{id}/cancel")))


def retry(id: str) -> Operation[Transcription]:
    """A new run of a failed or canceled transcription. Raises ApiError (`wrong_state`, `expired`)."""
    answer = yield from request(Send("POST", f"{JOBS}/{id}/retry"), safe=False)
    return Transcription.model_validate_json(answer.content)


def delete(id: str) -> Operation[None]:
    """Delete a transcription with its audio and text. Raises ApiError (`wrong_state`) while it is processing."""
    yield from request(Send("DELETE", f"{JOBS}/{id}"), safe=False)


def models() -> Operation[tuple[Model, ...]]:
    """The models of the installation."""
    answer = yield from request(Send("GET", "/v1/models"))
    return tuple(Model.model_validate(item) for item in answer.json()["data"])


def usage(*, group_by: Sequence[str] = ("day",), start: str | None = None, end: str | None = None) -> Operation[Usage]:
    """Jobs, audio minutes and failures by `key`, `tag`, `day` or `model`, between two dates (YYYY-MM-DD)."""
    asked = {"group_by": ",".join(group_by), "from": start, "to": end}
    params = {name: value for name, value in asked.items() if value is not None}
    answer = yield from request(Send("GET", "/v1/usage", params))
    return Usage.model_validate_json(answer.content)


def keys() -> Operation[list[dict[str, Any]]]:
    """The API keys, without their secrets. For keys with the scope `admin`."""
    answer = yield from request(Send("GET", "/v1/keys"))
    return list(answer.json()["data"])


def create_key(name: str, *, scopes: Sequence[str] = ("submit", "read")) -> Operation[dict[str, Any]]:
    """Make an API key; `key` in the answer is shown this once. For keys with the scope `admin`."""
    body = {"name": name, "scopes": list(scopes)}
    answer = yield from request(Send("POST", "/v1/keys", json=body), safe=False)
    return dict(answer.json())


def rotate_key(id: str) -> Operation[dict[str, Any]]:
    """A new secret for an API key; `key` in the answer is shown this once, the old one works for a day."""
    return dict((yield from request(Send("POST", f"/v1/keys/{id}/rotate"), safe=False)).json())


def revoke_key(id: str) -> Operation[None]:
    """End an API key. For keys with the scope `admin`."""
    yield from request(Send("DELETE", f"/v1/keys/{id}"))


def _transcription(send: Send) -> Operation[Transcription]:
    answer = yield from request(send)
    return Transcription.model_validate_json(answer.content)
