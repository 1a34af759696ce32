"""Completed jobs whose speakers have voice prints, and tenants that keep them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from common import jobs, tenants, voices
from common.db import Database
from common.jobs import Attributed, Job
from common.options.transcription import TranscriptionOptions
from common.transcript.voice_prints import VoicePrint
from common.voices import Heard, Source
from tests.db.job_cases import FINISHED, claimed, part, sentence, submitted

ASKED = TranscriptionOptions(speakers=True)
SPEAKER_MODEL = "campplus-0123456789ab"
CONSENT = "Agreed in writing, form 17."
PRINTS = "SELECT count(*) FROM voice_prints"
LEAST = 0.7
LONG = 60_000


def voice(degrees: float, speech_ms: int = LONG) -> VoicePrint:
    """A print in a plane: the similarity of two is the cosine of the angle between them."""
    return VoicePrint((math.cos(math.radians(degrees)), math.sin(math.radians(degrees))), speech_ms)


def switched_on(database: Database, tenant: str = "default", *, on: bool = True) -> None:
    """A tenant whose admin has switched voices on."""
    tenants.set_limits(database, tenant, {}, voices=on)


def spoken(
    database: Database,
    *heard_voices: VoicePrint,
    model: str = SPEAKER_MODEL,
    heard: bool = True,
    job: Job | None = None,
    **changes: Any,
) -> Job:
    """A completed job, a given or a new one, in which speakers 1, 2, … with these voices say one sentence each."""
    claim = claimed(database, job or submitted(database, **{"options": ASKED} | changes))
    numbers = range(1, len(heard_voices) + 1)
    pieces = [[replace(sentence("你好。", 1000 * number), speaker=number)] for number in numbers]
    prints = Heard(model, dict(zip(numbers, heard_voices, strict=True))) if heard else None
    last = part(0, *["你好。"] * len(heard_voices), last=True)
    attributed = Attributed(pieces, prints, LEAST)
    jobs.complete(database, claim, last, FINISHED, first_sentence=0, stage_ms={}, attributed=attributed)
    return jobs.get(database, claim.job.id)


def source(job: Job, speaker: int = 1) -> Source:
    """A speaker to enrol."""
    return Source(job.id, job.run, speaker, job.tenant, None)


def names(database: Database, job: Job) -> list[str | None]:
    """The names of a job's speakers."""
    return [speaker.name for speaker in jobs.speakers(database, job) or ()]


def enrolled(database: Database, name: str = "王芳", degrees: float = 0, **changes: Any) -> voices.Voice:
    """A known voice, enrolled from a job of its own."""
    job = spoken(database, voice(degrees), **changes)
    return voices.create(database, source(job), name=name, consent=CONSENT)
