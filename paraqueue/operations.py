"""The operations of the service, each written once (see `paraqueue.exchange`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Unpack

from paraqueue.answers import sentence_in, transcription_in
from paraqueue.audio_sources import AudioSource, is_link
from paraqueue.errors import JobEnded, WaitedTooLong
from paraqueue.exchange import Operation, Pause, Send, given, idempotent, moment, request
from paraqueue.exports import JOBS, reading
from paraqueue.options import SubmitOptions, body_of
from paraqueue.statuses import COMPLETED, Sort, Status
from paraqueue.uploads import OnUpload, UploadMemory, upload

if TYPE_CHECKING:
    import httpx

    from paraqueue.models import Page, Sentence, Speaker, Transcript, Transcription

# Duration of one long poll; the service allows 60.
POLL_SECONDS = 30.0
OnChange = Callable[["Transcription"], None]


def submit(
    source: AudioSource,
    *,
    name: str | None = None,
    on_upload: OnUpload | None = None,
    memory: UploadMemory | None = None,
    **options: Unpack[SubmitOptions],
) -> Operation[Transcription]:
    """Submit audio: a path, a link (http, https, s3, oss), bytes or an open file; returns without waiting for the text.

    `name` is what the service calls bytes and open files. Audio is uploaded first, in chunks that are resent if the
    connection breaks; `on_upload` is called with the bytes received and the total bytes. `language`: that of the
    recording, such as `zh`; refused if the model does not recognise it. `speakers`: True to tell who said what, or the
    number of speakers. `itn`: numbers in digits. `masked_words` become asterisks. `hotwords`: names and terms, `word`,
    `word:weight` (1 to 10) or `wrong=>right`; those of a vocabulary are added. `segmentation`: how speech is divided.
    `summary`: True, a kind (`minutes`, `decisions`, `todos`) or a template's id, to have the transcript summarised.
    The service chooses the value of arguments that are None. Raises OSError, ApiError, ConnectionFailed.
    """
    body = body_of(options)
    if is_link(source):
        body["audio_url"] = str(source)
    else:
        body["upload_id"] = yield from upload(source, name=name, on_upload=on_upload, memory=memory)
    return transcription_in((yield from idempotent(Send("POST", JOBS, json=body))))


def get(id: str) -> Operation[Transcription]:
    """The current state of a transcription. Raises NotFound."""
    return (yield from _transcription(Send("GET", f"{JOBS}/{id}")))


def page(
    *,
    status: Status | None = None,
    tag: str | None = None,
    batch: str | None = None,
    name: str | None = None,
    created_from: datetime | str | None = None,
    created_to: datetime | str | None = None,
    sort: Sort | None = None,
    preview: bool = False,
    after: str | None = None,
    limit: int = 20,
) -> Operation[Page]:
    """One page of transcriptions, newest first or as `sort` says; `after` is the `next` cursor of the previous page.

    `name`: words that the name contains. `preview`: with the beginning of each text. `created_from` is inclusive,
    `created_to` is not; a datetime without a time zone is local time.
    """
    from paraqueue.models import Page

    params = given(status=status, tag=tag, batch=batch, name=name, sort=sort, after=after, limit=limit)
    params |= given(created_from=moment(created_from), created_to=moment(created_to))
    params |= {"preview": "true"} if preview else {}
    answer = yield from request(Send("GET", JOBS, params))
    return Page.model_validate_json(answer.content)


def wait(id: str, *, timeout: float | None = None, on_change: OnChange | None = None) -> Operation[Transcription]:
    """Wait until a transcription has ended, with any outcome; `on_change` is called whenever it changes.

    Raises WaitedTooLong after `timeout` seconds (None: no limit); the transcription itself continues.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    reported: Transcription | None = None
    while True:
        left = POLL_SECONDS if deadline is None else max(0.0, min(POLL_SECONDS, deadline - time.monotonic()))
        # With `on_change`, poll every second: the long poll responds only at the end.
        seconds = min(left, 1.0) if on_change else left
        send = Send("GET", f"{JOBS}/{id}", {"wait": f"{seconds:.1f}"}, timeout=seconds + 30)
        current = yield from _transcription(send)
        if on_change and current != reported:
            on_change(current)
        reported = current
        if current.ended:
            return current
        if deadline is not None and time.monotonic() >= deadline:
            raise WaitedTooLong(current, timeout or 0.0)
        yield Pause(0.0)


def transcript(id: str, *, partial: bool = False, machine: bool = False) -> Operation[Transcript]:
    """The transcript; with `partial` the part available so far, with `machine` without corrections by people.

    Raises ApiError (`not_ready`, `no_transcript`, `expired`).
    """
    from paraqueue.models import Transcript

    answer = yield from request(reading(id, "json", partial=partial, machine=machine))
    return Transcript.model_validate_json(answer.content)


def speakers(id: str) -> Operation[tuple[Speaker, ...]]:
    """The speakers of a transcription; none until it ends. Raises ApiError (`no_speakers`)."""
    return (yield from _speakers(Send("GET", f"{JOBS}/{id}/speakers")))


def name_speaker(id: str, number: int, name: str | None) -> Operation[tuple[Speaker, ...]]:
    """Name a speaker, counted from 1; None removes the name. Returns all speakers. Raises NotFound."""
    return (yield from _speakers(Send("PATCH", f"{JOBS}/{id}/speakers/{number}", json={"name": name})))


def merge_speakers(id: str, number: int, into: int) -> Operation[tuple[Speaker, ...]]:
    """Merge a speaker into another, who gets all sentences; returns the speakers that are left. Raises NotFound."""
    send = Send("POST", f"{JOBS}/{id}/speakers/{number}/merge", json={"into": into})
    return _speakers_of((yield from request(send, safe=False)))


def assign_sentence(id: str, number: int, speaker: int) -> Operation[Sentence]:
    """Assign a sentence, counted from 0, to another speaker. Raises NotFound."""
    send = Send("PUT", f"{JOBS}/{id}/sentences/{number}/speaker", json={"speaker": speaker})
    return sentence_in((yield from request(send)))


def _speakers(send: Send) -> Operation[tuple[Speaker, ...]]:
    return _speakers_of((yield from request(send)))


def _speakers_of(answer: httpx.Response) -> tuple[Speaker, ...]:
    from paraqueue.models import Speaker

    return tuple(Speaker.model_validate(item) for item in answer.json()["data"])


def transcribe(
    source: AudioSource,
    *,
    name: str | None = None,
    timeout: float | None = None,
    on_change: OnChange | None = None,
    on_upload: OnUpload | None = None,
    memory: UploadMemory | None = None,
    **options: Unpack[SubmitOptions],
) -> Operation[Transcript]:
    """Submit, wait, read: see `submit`, `wait`, `transcript`. Raises JobEnded if there will be no transcript."""
    job = yield from submit(source, name=name, on_upload=on_upload, memory=memory, **options)
    ended = yield from wait(job.id, timeout=timeout, on_change=on_change)
    if ended.status != COMPLETED:
        raise JobEnded(ended)
    return (yield from transcript(job.id))


def cancel(id: str) -> Operation[Transcription]:
    """Request cancellation; a worker that runs the job stops within seconds. Raises ApiError (`wrong_state`)."""
    return (yield from _transcription(Send("POST", f"{JOBS}/{id}/cancel")))


def retry(id: str) -> Operation[Transcription]:
    """Rerun a failed or canceled transcription. Raises ApiError (`wrong_state`, `expired`)."""
    return transcription_in((yield from idempotent(Send("POST", f"{JOBS}/{id}/retry"))))


def delete(id: str) -> Operation[None]:
    """Delete a transcription with its audio and text. Raises ApiError (`wrong_state`) while it is processing."""
    yield from request(Send("DELETE", f"{JOBS}/{id}"), safe=False)


def _transcription(send: Send) -> Operation[Transcription]:
    return transcription_in((yield from request(send)))
