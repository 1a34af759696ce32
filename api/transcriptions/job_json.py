"""Jobs as JSON: what the models of `api.transcriptions.schemas` describe, without their checks on the busiest calls."""

from __future__ import annotations

from pydantic_core import to_json

from api.http.urls import without_query
from api.transcriptions.schemas import AttemptOut, Transcription
from common import ids
from common.job_states import Status
from common.jobs import Attempt, Estimate, Estimates, Expiry, Job, Page
from common.options.transcription import TranscriptionOptions
from common.transcript.recording import tracks_json, warnings_json

FAR_END = "1000+"
ATTEMPT_FIELDS = tuple(AttemptOut.model_fields)


def transcription_of(job: Job, base_url: str, estimate: Estimate) -> Transcription:
    """Convert a job to its API representation."""
    return Transcription.model_validate(_fields(job, base_url, estimate))


def page_json(page: Page, base_url: str, estimates: Estimates) -> bytes:
    """Return a `TranscriptionPage` as JSON. For the busiest calls: without a model, whose checks take most of the time.

    The tests compare this and `detail_json` with the models.
    """
    previews = page.previews or {}
    shown = [{**_fields(job, base_url, estimates.of(job)), "preview": previews.get(job.id)} for job in page.jobs]
    return to_json({"data": shown, "next": page.next_cursor})


def transcription_json(job: Job, base_url: str, estimate: Estimate) -> tuple[bytes, str]:
    """Return a `Transcription` as JSON, and its URL."""
    fields = _fields(job, base_url, estimate)
    return to_json(fields), url_of(job, base_url)


def detail_json(
    job: Job,
    attempts: list[Attempt],
    base_url: str,
    estimate: Estimate,
    expiry: Expiry,
    summary: Status | None,
) -> bytes:
    """Return a `TranscriptionDetail` as JSON."""
    history = [{name: getattr(item, name) for name in ATTEMPT_FIELDS} for item in attempts]
    more = {
        "attempts": history,
        "audio_expires_at": expiry.audio_at,
        "audio_deleted_at": job.source.audio_deleted_at,
        "transcript_expires_at": expiry.transcript_at,
        "transcript_deleted_at": job.result_deleted_at,
        "expires_at": expiry.job_at,
        "summary": summary,
    }
    return to_json(_fields(job, base_url, estimate) | more)


def url_of(job: Job, base_url: str) -> str:
    """Return the URL of a transcription."""
    return f"{base_url}/v1/transcriptions/{job.public_id}"


def _fields(job: Job, base_url: str, estimate: Estimate) -> dict[str, object]:
    here = url_of(job, base_url)
    return {
        "id": job.public_id,
        "object": "transcription",
        "status": job.status,
        "stage": job.stage,
        "progress": job.progress,
        "queue_position": FAR_END if estimate.far else estimate.position,
        "eta_seconds": estimate.eta_seconds,
        "model": job.model,
        "channels": job.channels,
        "audio_track": job.audio_track,
        **_options(job.options),
        "priority": job.priority,
        "name": job.shown_name,
        "tags": list(job.tags),
        "webhook_url": without_query(job.webhook_url) if job.webhook_url else None,
        "batch_id": ids.shown(ids.BATCH, job.batch_id) if job.batch_id else None,
        "deduplicated_from": ids.shown(ids.JOB, job.deduplicated_from) if job.deduplicated_from else None,
        "source": {
            "kind": job.source.kind,
            "url": without_query(job.source.url) if job.source.url else None,
            "name": job.source.name,
            "bytes": job.source.audio_bytes,
            "sha256": job.source.audio_sha256,
        },
        "audio_ms": job.audio_ms,
        "processed_ms": job.processed_ms,
        "run": job.run,
        "attempt": job.attempts,
        "cancel_requested": job.cancel_requested,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "error": _failure(job),
        "result": _result(job),
        "warnings": warnings_json(job.recording.warnings),
        "tracks": tracks_json(job.recording.tracks),
        "links": {"self": here, "transcript": f"{here}/transcript"},
    }


def _options(options: TranscriptionOptions) -> dict[str, object]:
    return {
        "speakers": options.speakers,
        "min_speakers": options.min_speakers,
        "max_speakers": options.max_speakers,
        "known_voices": options.known_voices,
        "itn": options.itn,
        "remove_fillers": options.remove_fillers,
        "masked_words": list(options.masked_words),
        "hotwords": list(options.hotwords),
        "vocabulary_id": options.vocabulary_id,
        "script": options.script,
        "segmentation": options.segmentation,
    }


def _failure(job: Job) -> dict[str, object] | None:
    if job.failure is None:
        return None
    return {"code": job.failure.code, "message": job.failure.message, "retryable": job.failure.retryable}


def _result(job: Job) -> dict[str, object] | None:
    result = job.result
    if result is None:
        return None
    return {
        "model": result.model,
        "model_revision": result.revision,
        "precision": result.precision,
        "segmentation": result.segmentation,
        "channels": result.channels,
        "no_speech": result.no_speech,
        "processing_ms": result.processing_ms,
        "rtf": round(result.processing_ms / job.audio_ms, 5) if job.audio_ms else None,
    }
