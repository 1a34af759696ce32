"""Voices of many tenants in one database: what a tenant's call reads depends on its own voices and transcripts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common import voices
from common.db import Database
from common.transcript.voice_prints import VoicePrint
from common.voices import Source
from dev.postgres import Postgres
from tests.db.job_cases import NO_LIMIT, execute, pool_on, rows, submitted, with_worker, write_many
from tests.db.plan_cases import Plans, Watched, told_by, watched
from tests.db.voice_cases import ASKED, LONG, SPEAKER_MODEL, spoken

TENANTS, VOICES, SAMPLES, TRANSCRIPTS = 200, 20, 3, 40
ONE_OF_THEM, SWITCHED_OFF = "tenant-77", "tenant-78"
# A tenant has 60 samples and 40 prints, all together 12,000 and 8,000. The small table of tenants is read whole.
ENOUGH = 2 * TENANTS
PRINT = VoicePrint((1.0, *[0.0] * 191), LONG)
EMBEDDING = "decode('0000803f' || repeat('00', 764), 'hex')"
FILL = f"""
INSERT INTO tenants (name, voices)
SELECT 'tenant-' || n, 'tenant-' || n <> '{SWITCHED_OFF}' FROM generate_series(1, {TENANTS}) n;
INSERT INTO jobs (id, created_at, tenant, status, model, channels, priority, tags, source_kind, source_url)
SELECT gen_random_uuid(), now() - make_interval(secs => n), 'tenant-' || 1 + n % {TENANTS}, 'completed', 'demo-zh',
       'mix', 5, '{{}}', 'https', 'https://example.com/a'
FROM generate_series(1, {TENANTS * TRANSCRIPTS}) n;
INSERT INTO speakers (job_id, run, number, tenant, speech_ms) SELECT id, 1, 1, tenant, {LONG} FROM jobs;
INSERT INTO voice_prints (job_id, run, number, tenant, model, embedding, speech_ms)
SELECT job_id, run, number, tenant, '{SPEAKER_MODEL}', {EMBEDDING}, {LONG} FROM speakers;
INSERT INTO voices (id, created_at, tenant, name, consent)
SELECT gen_random_uuid(), now() - make_interval(secs => n), 'tenant-' || 1 + n % {TENANTS}, 'n' || n, ''
FROM generate_series(1, {TENANTS * VOICES}) n;
INSERT INTO voice_samples (voice_id, job_id, speaker, model, embedding, speech_ms)
SELECT id, gen_random_uuid(), 1, '{SPEAKER_MODEL}', {EMBEDDING}, {LONG} FROM voices, generate_series(1, {SAMPLES});
"""


@pytest.fixture(scope="module")
def filled(postgres: Postgres) -> Iterator[Watched]:
    with pool_on(postgres) as database:
        write_many(database, FILL)
        with_worker(database, slots=4)
        yield watched(database)


def check(plans: Plans, *indexes: str) -> None:
    """Every table of voices was read by these indexes, and little of it."""
    text = "\n".join(plans.notices)
    assert set(indexes) <= plans.indexes(), text
    assert "Seq Scan on voice" not in text, text
    assert "Seq Scan on speakers" not in text, text
    assert plans.most_rows() <= ENOUGH, text


def test_the_end_of_a_job_reads_the_samples_of_its_tenant(filled: Watched) -> None:
    def end(database: Database) -> None:
        spoken(database, PRINT, job=submitted(database, tenant=ONE_OF_THEM, options=ASKED))

    check(told_by(filled, end), "voices_by_name", "voice_samples_pkey")


def test_a_page_reads_the_voices_of_its_tenant(filled: Watched) -> None:
    def page(database: Database) -> None:
        found = voices.page(database, tenant=ONE_OF_THEM, limit=VOICES - 1)
        assert (len(found.voices), {len(voice.samples) for voice in found.voices}) == (VOICES - 1, {SAMPLES})
        assert found.next_cursor

    check(told_by(filled, page), "voices_by_name", "voice_samples_pkey")


def test_enrolling_reads_the_print_of_one_speaker(filled: Watched) -> None:
    database, _ = filled
    [(job_id,)] = rows(database, f"SELECT job_id FROM voice_prints WHERE tenant = '{ONE_OF_THEM}' LIMIT 1")
    made = voices.create(database, Source(job_id, 1, 1, ONE_OF_THEM, None), name="王芳", consent="")

    def enrol(database: Database) -> None:
        voices.enrol(database, made.id, Source(job_id, 1, 1, ONE_OF_THEM, None))

    try:
        check(told_by(filled, enrol), "voice_prints_pkey", "speakers_pkey", "voice_samples_pkey")
    finally:
        voices.remove(database, made.id, tenant=ONE_OF_THEM)


def test_prints_that_are_due_are_found_by_their_tenant(filled: Watched) -> None:
    more = (
        "INSERT INTO voice_prints (job_id, run, number, tenant, model, embedding, speech_ms) "
        "SELECT job_id, run, number, tenant, 'm', '', 1 FROM speakers WHERE tenant = :tenant "
        "LIMIT 5 ON CONFLICT DO NOTHING"
    )
    assert voices.forget_unwanted(filled[0], NO_LIMIT) == TRANSCRIPTS

    def forget(database: Database) -> None:
        execute(database, more, tenant=SWITCHED_OFF)
        assert voices.forget_unwanted(database, NO_LIMIT) == 5

    check(told_by(filled, forget), "voice_prints_of_tenant", "voice_prints_pkey")
