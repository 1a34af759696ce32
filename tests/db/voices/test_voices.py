"""Known voices in the database: what is kept and for whom, who is recognised, and that deleting deletes."""

from __future__ import annotations

from functools import partial

import pytest

from common import ids, jobs, voices
from common.db import Database
from common.errors import NotFound, NoVoicePrint, TooManyVoices, VoiceNameTaken, VoicesOff
from common.jobs import Job
from common.voices import rows as voice_rows
from tests.db.job_cases import at_once, claimed, execute, one, submitted
from tests.db.voice_cases import ASKED, CONSENT, LONG, PRINTS, enrolled, names, source, spoken, switched_on, voice

SAMPLES = "SELECT count(*) FROM voice_samples"


def test_nothing_is_kept_unless_the_tenant_has_switched_voices_on(database: Database) -> None:
    switched_on(database, on=False)
    job = spoken(database, voice(0))
    spoken(database, voice(0), tenant="without-a-row")
    assert one(database, PRINTS) == 0
    with pytest.raises(VoicesOff):
        voices.create(database, source(job), name="王芳", consent=CONSENT)
    switched_on(database)
    with pytest.raises(NoVoicePrint, match="no voice print of speaker 1"):
        voices.create(database, source(job), name="王芳", consent=CONSENT)
    spoken(database, voice(0), heard=False)  # the job was submitted with known_voices=false
    assert one(database, PRINTS) == 0


def test_an_enrolled_speaker_is_named_in_the_next_job(database: Database) -> None:
    first = spoken(database, voice(0), voice(90))
    made = voices.create(database, source(first, 2), name="王芳", consent=CONSENT)
    enrolled_from = (jobs.speakers(database, first) or ())[1]
    assert (enrolled_from.name, enrolled_from.name_source, enrolled_from.voice_id) == ("王芳", "person", made.id)
    assert (made.consent, made.samples[0].job_id, made.samples[0].speech_ms) == (CONSENT, first.id, LONG)
    found = jobs.speakers(database, spoken(database, voice(100), voice(0)))
    assert found is not None
    assert [(item.name, item.name_source, item.voice_id) for item in found] == [
        ("王芳", "voice", made.id),
        (None, None, None),
    ]
    assert found[0].similarity == pytest.approx(0.9848, abs=1e-4)


def test_a_name_given_by_people_stays_when_a_speaker_is_enrolled(database: Database) -> None:
    job = spoken(database, voice(0))
    jobs.name_speaker(database, job, 1, "小王")
    voices.create(database, source(job), name="王芳", consent=CONSENT)
    assert names(database, job) == ["小王"]


def test_people_rename_who_was_recognised(database: Database) -> None:
    made = enrolled(database)
    job = spoken(database, voice(1))
    [renamed] = jobs.name_speaker(database, job, 1, "李四")
    assert (renamed.name, renamed.name_source, renamed.voice_id, renamed.similarity) == ("李四", "person", None, None)
    assert jobs.name_speaker(database, job, 1, None)[0].name_source is None
    assert voices.get(database, made.id, tenant="default").name == "王芳"


def test_a_new_run_recognises_with_the_voices_of_its_end(database: Database) -> None:
    claim = claimed(database, submitted(database, options=ASKED))
    jobs.stop_canceled(database, claim, stage_ms={})
    enrolled(database)
    assert names(database, spoken(database, voice(0), job=jobs.retry(database, claim.job.id))) == ["王芳"]


def test_voices_of_another_speaker_model_are_not_compared(database: Database) -> None:
    made = enrolled(database, model="campplus-old")
    assert names(database, spoken(database, voice(0))) == [None]
    assert made.needs_enrolment({"campplus-new"})
    assert not made.needs_enrolment({"campplus-new", "campplus-old"})
    assert not made.needs_enrolment(()), "without a worker nothing is known"
    again = voices.enrol(database, made.id, source(spoken(database, voice(0), model="campplus-new")))
    assert [sample.model for sample in again.samples] == ["campplus-old", "campplus-new"]
    assert not again.needs_enrolment({"campplus-new"})
    assert names(database, spoken(database, voice(0), model="campplus-new")) == ["王芳"]


def test_more_samples_move_a_voice_and_the_same_speaker_counts_once(database: Database) -> None:
    made = enrolled(database, degrees=0)
    more = spoken(database, voice(80))
    for _ in range(2):
        assert len(voices.enrol(database, made.id, source(more)).samples) == 2
    assert names(database, spoken(database, voice(-20))) == [None]
    [found] = jobs.speakers(database, spoken(database, voice(40))) or ()
    assert found.similarity == pytest.approx(1.0)


def test_who_says_little_cannot_be_enrolled(database: Database) -> None:
    job = spoken(database, voice(0, voice_rows.LEAST_ENROLLED_MS - 1))
    with pytest.raises(NoVoicePrint, match="10 s are needed"):
        voices.create(database, source(job), name="王芳", consent=CONSENT)
    assert one(database, "SELECT count(*) FROM voices") == 0


def test_tenants_are_apart(database: Database) -> None:
    made = enrolled(database)
    switched_on(database, "other")
    theirs = spoken(database, voice(0), tenant="other")
    assert names(database, theirs) == [None]
    for call in (
        lambda: voices.get(database, made.id, tenant="other"),
        lambda: voices.rename(database, made.id, "x", tenant="other"),
        lambda: voices.remove(database, made.id, tenant="other"),
        lambda: voices.enrol(database, made.id, source(theirs)),
        lambda: voices.create(
            database, voices.Source(made.samples[0].job_id, 1, 1, "other", None), name="x", consent=CONSENT
        ),
        lambda: voices.get(database, ids.new_id(), tenant="default"),
    ):
        with pytest.raises(NotFound):
            call()
    assert voices.page(database, tenant="other").voices == ()
    voices.create(database, source(theirs), name="王芳", consent=CONSENT)


def test_names_are_unique_and_voices_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    made = enrolled(database)
    other = enrolled(database, "李四", 90)
    with pytest.raises(VoiceNameTaken):
        enrolled(database)
    with pytest.raises(VoiceNameTaken):
        voices.rename(database, other.id, "王芳", tenant="default")
    assert voices.rename(database, made.id, "王芳", tenant="default") == made
    monkeypatch.setattr(voice_rows, "MAX_VOICES", 2)
    with pytest.raises(TooManyVoices):
        enrolled(database, "张三")
    monkeypatch.setattr(voice_rows, "MAX_SAMPLES", 1)
    with pytest.raises(TooManyVoices):
        voices.enrol(database, made.id, source(spoken(database, voice(0))))


def test_a_new_name_is_that_of_later_transcripts(database: Database) -> None:
    made = enrolled(database)
    before = spoken(database, voice(0))
    assert voices.rename(database, made.id, "王芳芳", tenant="default").name == "王芳芳"
    assert names(database, before) == ["王芳"]
    assert names(database, spoken(database, voice(0))) == ["王芳芳"]


def test_a_deleted_voice_leaves_nothing_but_names(database: Database) -> None:
    made = enrolled(database)
    job = spoken(database, voice(0))
    voices.remove(database, made.id, tenant="default")
    assert one(database, SAMPLES) == 0
    assert one(database, "SELECT count(*) FROM voices") == 0
    [speaker] = jobs.speakers(database, job) or ()
    assert (speaker.name, speaker.name_source, speaker.voice_id) == ("王芳", "voice", None)
    assert names(database, spoken(database, voice(0))) == [None]
    with pytest.raises(NotFound):
        voices.remove(database, made.id, tenant="default")


def test_a_voice_of_many_transcripts_is_deleted_in_small_steps(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_rows, "SPEAKERS_AT_A_TIME", 2)
    made, other = enrolled(database), enrolled(database, "李四", 90)
    named = [spoken(database, voice(0), voice(90)) for _ in range(4)]
    voices.remove(database, made.id, tenant="default")
    assert one(database, "SELECT count(*) FROM voices") == 1
    for job in named:
        assert [item.voice_id for item in jobs.speakers(database, job) or ()] == [None, other.id]


def test_a_copy_is_compared_with_the_voices_of_now(database: Database) -> None:
    first = spoken(database, voice(0), voice(90), audio_sha256="ab")
    made = voices.create(database, source(first), name="王芳", consent=CONSENT)

    def copied(least_similarity: float | None) -> Job:
        job = submitted(database, audio_sha256="ab", dedupe=True, options=ASKED)
        assert jobs.complete_from_duplicate(
            database,
            claimed(database, job),
            revision="r1",
            precision="fp32",
            segmentation="fixed",
            stage_ms={},
            least_similarity=least_similarity,
        )
        return jobs.get(database, job.id)

    plain = copied(None)
    assert names(database, plain) == [None, None]
    assert one(database, "SELECT count(*) FROM voice_prints WHERE job_id = :id", id=plain.id) == 0
    execute(database, "DELETE FROM jobs WHERE id = :id", id=plain.id)
    again = copied(0.7)
    found = jobs.speakers(database, again) or ()
    assert [(item.name, item.voice_id) for item in found] == [("王芳", made.id), (None, None)]


def test_pages_are_newest_first(database: Database) -> None:
    made = [enrolled(database, f"voice {number}", 30 * number).id for number in range(3)][::-1]
    first = voices.page(database, tenant="default", limit=2)
    second = voices.page(database, tenant="default", after=first.next_cursor, limit=2)
    assert [item.id for item in (*first.voices, *second.voices)] == made
    assert second.next_cursor is None


def test_jobs_end_while_voices_change(database: Database) -> None:
    """A voice that is deleted while jobs end names a speaker or does not, and no job fails."""
    kept = enrolled(database, "李四", 90)

    def end() -> Job | None:
        return spoken(database, voice(0), voice(90))

    for number in range(3):
        gone = enrolled(database, f"王芳 {number}")
        calls = [end] * 4 + [partial(delete_voice, database, gone)]
        for job in filter(None, at_once(calls)):
            first, second = jobs.speakers(database, job) or ()
            assert first.voice_id is None
            assert second.voice_id == kept.id


def delete_voice(database: Database, gone: voices.Voice) -> None:
    voices.remove(database, gone.id, tenant="default")
