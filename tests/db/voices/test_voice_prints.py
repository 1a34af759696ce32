"""How long voice prints are kept, and what becomes of those that are unusable."""

from __future__ import annotations

import math
from typing import Any

import pytest

from common import jobs, voices
from common.db import Database
from common.errors import NoVoicePrint
from common.jobs import Job
from common.storage import LocalStorage
from common.transcript.voice_prints import VoicePrint
from tests.db.job_cases import NO_LIMIT, execute, one, rows
from tests.db.voice_cases import CONSENT, LONG, PRINTS, enrolled, names, source, spoken, switched_on, voice

DAY = 24 * 3600.0


def test_a_print_that_is_no_vector_names_nobody_and_is_not_kept(database: Database) -> None:
    enrolled(database)
    broken = [VoicePrint(vector, LONG) for vector in ((math.nan, 0.0), (0.0, 0.0), (math.inf, 1.0))]
    job = spoken(database, *broken, voice(0))
    assert names(database, job) == [None, None, None, "王芳"]
    assert rows(database, "SELECT number FROM voice_prints WHERE job_id = :id", id=job.id) == [(4,)]
    with pytest.raises(NoVoicePrint):
        voices.create(database, source(job, 1), name="李四", consent=CONSENT)


def test_a_stored_print_that_is_damaged_does_not_hide_the_others(database: Database) -> None:
    damaged = enrolled(database, "李四", 90)
    enrolled(database)
    packed = VoicePrint((math.nan, math.nan), LONG).packed()
    execute(database, "UPDATE voice_samples SET embedding = :it WHERE voice_id = :id", it=packed, id=damaged.id)
    assert names(database, spoken(database, voice(0), voice(90))) == ["王芳", None]


def test_prints_of_a_tenant_without_a_row_are_deleted(database: Database) -> None:
    switched_on(database, "gone")
    spoken(database, voice(0), tenant="gone")
    spoken(database, voice(0))
    execute(database, "DELETE FROM tenants WHERE name = 'gone'")
    assert voices.forget_unwanted(database, NO_LIMIT) == 1
    assert rows(database, "SELECT tenant FROM voice_prints") == [("default",)]


def delete(database: Database, storage: LocalStorage, job: Job) -> None:
    jobs.delete_job(database, storage, job.id)


def expire(database: Database, _: LocalStorage, job: Job) -> None:
    execute(database, "UPDATE jobs SET finished_at = now() - interval '2 days' WHERE id = :id", id=job.id)
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=DAY) == 1


@pytest.mark.parametrize("end", [delete, expire])
def test_prints_end_with_their_transcript_and_voices_stay(database: Database, storage: LocalStorage, end: Any) -> None:
    job, other = spoken(database, voice(0), voice(90)), spoken(database, voice(50))
    made = voices.create(database, source(job), name="王芳", consent=CONSENT)
    end(database, storage, job)
    assert rows(database, "SELECT job_id FROM voice_prints") == [(other.id,)]
    assert voices.get(database, made.id, tenant="default") == made
    assert names(database, spoken(database, voice(0))) == ["王芳"]


def test_prints_are_deleted_where_they_are_kept_no_longer(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.voices.prints.ROWS_AT_A_TIME", 2)
    switched_on(database, "other")
    spoken(database, voice(0), tenant="other")
    made = enrolled(database)
    spoken(database, *[voice(angle) for angle in range(10, 60, 10)])
    assert voices.forget_unwanted(database, NO_LIMIT) == 0
    switched_on(database, on=False)
    assert voices.forget_unwanted(database, NO_LIMIT) == 6
    assert rows(database, "SELECT tenant FROM voice_prints") == [("other",)]
    assert names(database, spoken(database, voice(0))) == [None], "enrolled, but switched off"
    assert voices.get(database, made.id, tenant="default") == made, "people delete it"
    assert voices.forget_unwanted(database, NO_LIMIT, all_tenants=True) == 1
    assert one(database, PRINTS) == 0


def test_merged_speakers_have_one_print(database: Database) -> None:
    made = enrolled(database)
    job = spoken(database, voice(60, 10_000), voice(0, 30_000))
    merged = jobs.merge_speakers(database, job, 2, 1)
    assert [(item.name, item.voice_id, item.name_source) for item in merged] == [("王芳", made.id, "voice")]
    assert rows(database, "SELECT number, speech_ms FROM voice_prints WHERE job_id = :id", id=job.id) == [(1, 40_000)]
    without = spoken(database, voice(0), voice(0))
    execute(database, "DELETE FROM voice_prints WHERE job_id = :id AND number = 1", id=without.id)
    jobs.merge_speakers(database, without, 2, 1)
    assert rows(database, "SELECT number FROM voice_prints WHERE job_id = :id", id=without.id) == [(1,)]
