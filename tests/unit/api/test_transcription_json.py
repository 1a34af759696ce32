"""The JSON of the busiest calls is exactly that of the models that describe it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from api.transcriptions.job_json import detail_json, page_json, transcription_json
from api.transcriptions.schemas import Transcription, TranscriptionDetail, TranscriptionPage
from common.job_states import Stage, Status
from common.jobs import Attempt, Estimate, Estimates, Expiry, Job, Page
from common.jobs.job import JobFailure, Result, Source
from common.options.transcription import NAMES as OPTIONS
from common.options.transcription import NO_OPTIONS, TranscriptionOptions
from common.transcript.recording import NOTHING_KNOWN, AudioTrack, Recording, RecordingWarning

NOW = datetime(2026, 11, 30, 15, 4, 5, 678_900, UTC)
BASE = "https://example.com"
QUEUED = Job(
    id=uuid.UUID("01a22d12-04b3-732e-bd63-dcc8aa48f064"),
    created_at=NOW,
    tenant="default",
    key_id=None,
    status=Status.QUEUED,
    stage=None,
    model="demo-zh",
    channels="mix",
    audio_track="default",
    options=NO_OPTIONS,
    priority=5,
    tags=(),
    name=None,
    webhook_url=None,
    batch_id=None,
    dedupe=False,
    deduplicated_from=None,
    source=Source("https", "https://example.com/a.mp3?signature=x", "a.mp3", None, None, None),
    declared_ms=None,
    processed_ms=0,
    audio_ms=None,
    run=1,
    attempts=0,
    not_before=NOW,
    started_at=None,
    finished_at=None,
    cancel_requested=False,
    failure=None,
    result=None,
    result_deleted_at=None,
    recording=NOTHING_KNOWN,
)
RECORDING = Recording(
    (AudioTrack(0, "aac", 2, 48_000, "zh", None, True, True), AudioTrack(1, "ac3", 6, 44_100, None, "评论", False)),
    (RecordingWarning("truncated", 'cut "off"', 10, None), RecordingWarning("gap", "", 0, 2**40)),
)
JOBS = {
    "queued": QUEUED,
    "processing": replace(
        QUEUED,
        status=Status.PROCESSING,
        stage=Stage.TRANSCRIBING,
        declared_ms=3000,
        processed_ms=1000,
        attempts=1,
        started_at=NOW + timedelta(microseconds=1),
        tags=("会议", "\u2028 \x7f <b>"),
        name="每周例会 🎙",
        webhook_url="https://example.com/hook?token=secret",
        batch_id=uuid.UUID(int=3),
        options=TranscriptionOptions(speakers=True, min_speakers=2, hotwords=("甲", "乙"), script="traditional"),
    ),
    "completed": replace(
        QUEUED,
        status=Status.COMPLETED,
        audio_ms=3000,
        processed_ms=3000,
        finished_at=NOW.replace(microsecond=0),
        deduplicated_from=uuid.UUID(int=4),
        source=Source("upload", None, None, "audio/x", 9, "0" * 64, NOW),
        result=Result("demo-zh", "r1", "fp32", None, 2, False, 217),
        recording=RECORDING,
    ),
    "failed": replace(QUEUED, status=Status.FAILED, failure=JobFailure("audio_empty", "nothing\n", False), run=2),
    "away": replace(QUEUED, status=Status.FAILED, failure=JobFailure("storage", "", True)),
    "fetching": replace(QUEUED, status=Status.PROCESSING, stage=Stage.FETCHING, source=Source("s3", *[None] * 5)),
    "canceled": replace(
        QUEUED,
        status=Status.CANCELED,
        stage=Stage.FINISHING,
        cancel_requested=True,
        processed_ms=2**62,
        result_deleted_at=NOW,
        options=TranscriptionOptions(
            speakers=True,
            max_speakers=50,
            itn=True,
            remove_fillers=True,
            masked_words=("\\", "\t"),
            vocabulary_id="voc_1",
            vocabulary_revision=2,
            segmentation="meeting",
            known_voices=False,
            language="zh",
        ),
    ),
    "of no length": replace(QUEUED, status=Status.COMPLETED, audio_ms=0, result=Result("m", "", "", None, 1, True, 0)),
    "silent": replace(
        QUEUED,
        status=Status.COMPLETED,
        audio_ms=7,
        result=Result("m", "", "", "dynamic", 1, True, 0),
        recording=Recording((), (RecordingWarning("no_speech", "", None, None),)),
    ),
}
ATTEMPTS = [
    Attempt(1, 1, "w", NOW, None, None, None, None, 0, {}),
    Attempt(1, 2, "w", NOW, NOW, "failed", "engine", "not shown", None, {"transcribing": 12}),
]
ESTIMATES = {"none": Estimate(), "near": Estimate(3, eta_seconds=40), "far": Estimate(None, far=True)}


def fields_of(value: Any, path: str = "") -> Iterator[tuple[str, object]]:
    """All fields of a JSON value by their paths: with a bool, null, whether a list is filled, or "value"."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from fields_of(item, f"{path}.{name}")
    if isinstance(value, list):
        for item in value:
            yield from fields_of(item, f"{path}[]")
    yield path, bool(value) if isinstance(value, bool | list) else None if value is None else "value"


def choices_of(schema: dict[str, Any], models: dict[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """What `fields_of` may give by this schema."""
    schema = models.get(schema.get("$ref", "").rpartition("/")[2], schema)
    for choice in schema.get("anyOf", ()):
        yield from choices_of(choice, models, path)
    for name, inner in schema.get("properties", {}).items():
        yield from choices_of(inner, models, f"{path}.{name}")
    kind = schema.get("type")
    if kind == "array":
        yield from choices_of(schema["items"], models, f"{path}[]")
    if kind in ("array", "boolean"):
        yield from ((path, False), (path, True))
    elif "anyOf" not in schema:
        yield path, None if kind == "null" else "value"


def test_the_jobs_here_have_each_field_with_and_without_a_value() -> None:
    """Else the tests below would compare less than they say."""
    seen: set[tuple[str, object]] = set()
    states: set[tuple[str, str | None]] = set()
    for job in JOBS.values():
        for estimate in ESTIMATES.values():
            for expiry, summary in ((Expiry(NOW, NOW, NOW), Status.QUEUED), (Expiry(None, None, None), None)):
                body = json.loads(detail_json(job, ATTEMPTS, BASE, estimate, expiry, summary))
                seen.update(fields_of(body))
                states.add((body["status"], body["stage"]))
    schema = TranscriptionDetail.model_json_schema()
    assert set(choices_of(schema, schema["$defs"])) - seen == {(".attempts", False)}  # its test has both
    assert {status for status, _ in states} == set(Status)
    assert {stage for _, stage in states} == {*Stage, None}
    given = {name for job in JOBS.values() for name in job.options.stored()}
    assert given == set(OPTIONS)


@pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=ESTIMATES)
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_a_transcription(job: Job, estimate: Estimate) -> None:
    body, url = transcription_json(job, BASE, estimate)
    parsed = Transcription.model_validate_json(body, strict=False)
    assert parsed.model_dump_json().encode() == body
    assert url == parsed.links.self
    assert b"signature" not in body
    assert b"secret" not in body


@pytest.mark.parametrize("attempts", [[], ATTEMPTS], ids=["untried", "tried"])
@pytest.mark.parametrize(
    ("expiry", "summary"), [(Expiry(NOW, NOW, NOW), Status.QUEUED), (Expiry(None, None, None), None)]
)
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_a_transcription_with_its_history(
    job: Job, expiry: Expiry, summary: Status | None, attempts: list[Attempt]
) -> None:
    body = detail_json(job, attempts, BASE, Estimate(), expiry, summary)
    assert TranscriptionDetail.model_validate_json(body).model_dump_json().encode() == body


def test_a_page() -> None:
    class Known:
        def of(self, job: Job) -> Estimate:
            return Estimate(1) if job is QUEUED else Estimate()

    previews = {QUEUED.id: "第一句。"}
    for page in (Page(tuple(JOBS.values()), "cursor", previews), Page((), None)):
        body = page_json(page, BASE, cast(Estimates, Known()))
        assert TranscriptionPage.model_validate_json(body).model_dump_json().encode() == body
