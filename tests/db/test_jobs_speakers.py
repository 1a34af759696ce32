"""Speakers of a run: embeddings that come and go, sentences that are cut, and what people change afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from common import jobs
from common.db import Database
from common.errors import NoSpeakers, NotFound
from common.job_states import Status
from common.jobs import Attributed, Claim, Job
from common.options.transcription import TranscriptionOptions, options_of
from common.transcript.values import Sentence, Speaker
from tests.db.job_cases import FINISHED, claimed, fail, one, part, rows, sentence, submitted

ASKED = TranscriptionOptions(speakers=True, max_speakers=4)
WINDOWS = "SELECT count(*) FROM speaker_windows"


def held(database: Database, **changes: Any) -> Claim:
    return claimed(database, submitted(database, options=ASKED, **changes))


def said(content: str, start_ms: int, speaker: int) -> Sentence:
    return replace(sentence(content, start_ms), speaker=speaker)


def finish(database: Database, claim: Claim, *pieces: list[Sentence], committed: int = 0) -> Job:
    last = replace(part(1, "最后。", last=True), windows=b"last")
    jobs.complete(database, claim, last, FINISHED, first_sentence=committed, stage_ms={}, attributed=Attributed(pieces))
    return jobs.get(database, claim.job.id)


def three(database: Database) -> Job:
    """A job with the sentences 甲。 (1) 乙乙。 (2) 丙。 (1)."""
    pieces = ([said("甲。", 0, 1), said("乙乙。", 1000, 2)], [said("丙。", 2000, 1)])
    return finish(database, held(database), *pieces)


def told(database: Database, job: Job) -> list[tuple[str, int | None]]:
    return [(item.text, item.speaker) for item in jobs.sentences(database, job)]


def test_options_are_kept_with_the_job(database: Database) -> None:
    job = jobs.get(database, held(database).job.id)
    assert job.options == ASKED
    assert one(database, "SELECT options FROM jobs") == {"speakers": True, "max_speakers": 4}
    assert submitted(database).options == TranscriptionOptions()
    assert options_of({"speakers": True, "of_a_later_version": 1}) == TranscriptionOptions(speakers=True)


def test_windows_are_kept_with_their_parts_until_the_end(database: Database) -> None:
    claim = held(database)
    for number in (0, 1):
        jobs.commit_part(
            database, claim, replace(part(number, "一。"), windows=bytes([65 + number])), first_sentence=number
        )
    jobs.commit_part(database, claim, replace(part(1, "一。"), windows=b"B"), first_sentence=1)
    assert jobs.speaker_windows(database, claim) == [b"A", b"B"]
    jobs.release(database, claim, stage_ms={})
    again = claimed(database, claim.job)
    assert jobs.speaker_windows(database, again) == [b"A", b"B"]
    jobs.restart(database, again)
    assert jobs.speaker_windows(database, again) == []


def end_well(database: Database, claim: Claim) -> None:
    finish(database, claim, [said("一。", 0, 1)], committed=1)


def end_canceled(database: Database, claim: Claim) -> None:
    jobs.stop_canceled(database, claim, stage_ms={})


@pytest.mark.parametrize("end", [end_well, fail, end_canceled])
def test_no_embedding_outlives_the_run(database: Database, end: Callable[[Database, Claim], None]) -> None:
    claim = held(database)
    jobs.commit_part(database, claim, replace(part(0, "一。"), windows=b"A"), first_sentence=0)
    assert one(database, WINDOWS) == 1
    end(database, claim)
    assert one(database, WINDOWS) == 0
    assert jobs.get(database, claim.job.id).status is not Status.PROCESSING


def test_sentences_are_cut_and_numbered_anew_with_the_end(database: Database) -> None:
    claim = held(database)
    jobs.commit_part(database, claim, part(0, "甲乙。"), first_sentence=0)
    assert told(database, claim.job) == [("甲乙。", None)]
    pieces = ([said("甲", 0, 1), said("乙。", 100, 2)], [said("最后。", 10_000, 1)])
    job = finish(database, claim, *pieces, committed=1)
    assert told(database, job) == [("甲", 1), ("乙。", 2), ("最后。", 1)]
    assert rows(database, "SELECT number FROM sentences ORDER BY number") == [(0,), (1,), (2,)]
    assert jobs.speakers(database, job) == (Speaker(1, None, 300), Speaker(2, None, 100))


def test_a_corrected_sentence_is_not_cut_and_keeps_its_correction(database: Database) -> None:
    claim = held(database)
    jobs.commit_part(database, claim, part(0, "一二。", "三四四。"), first_sentence=0)
    jobs.correct(database, claim.job, 1, "三是四。")
    pieces = (
        [said("一", 0, 1), said("二。", 100, 2)],
        [said("三", 1000, 1), said("四四。", 1100, 2)],
        [said("最后。", 10_000, 2)],
    )
    job = finish(database, claim, *pieces, committed=2)
    assert told(database, job) == [("一", 1), ("二。", 2), ("三是四。", 2), ("最后。", 2)]
    corrected = jobs.sentence(database, job, 2)
    assert corrected.edit is not None
    assert (corrected.edit.machine_text, corrected.edit.revision) == ("三四四。", 1)
    assert [word.text for word in corrected.words] == ["三", "四", "四"]


def test_what_was_recognised_in_a_corrected_sentence_stays_whole(database: Database) -> None:
    claim = held(database)
    jobs.commit_part(database, claim, part(0, "嗯甲乙。"), first_sentence=0)
    jobs.correct(database, claim.job, 0, "甲和乙。")
    pieces = [replace(said("甲", 0, 1), spoken="嗯甲"), said("乙。", 300, 2)]
    job = finish(database, claim, pieces, committed=1)
    assert rows(database, "SELECT text, spoken FROM sentences") == [("甲乙。", "嗯甲乙。")]
    assert told(database, job) == [("甲和乙。", 1)]


def test_a_name_is_given_and_taken_away(database: Database) -> None:
    job = three(database)
    assert jobs.name_speaker(database, job, 2, "王芳") == (Speaker(1, None, 200), Speaker(2, "王芳", 200))
    assert jobs.search(database, "乙", tenant=job.tenant).hits[0].speaker_name == "王芳"
    assert jobs.name_speaker(database, job, 2, None)[1].name is None


def test_two_speakers_become_one(database: Database) -> None:
    job = three(database)
    jobs.name_speaker(database, job, 2, "王芳")
    assert jobs.merge_speakers(database, job, 2, 1) == (Speaker(1, "王芳", 400),)
    assert told(database, job) == [("甲。", 1), ("乙乙。", 1), ("丙。", 1)]
    assert jobs.merge_speakers(database, job, 1, 1) == (Speaker(1, "王芳", 400),)


def test_a_sentence_is_given_to_another(database: Database) -> None:
    job = three(database)
    assert jobs.assign_sentence(database, job, 0, 2).speaker == 2
    jobs.assign_sentence(database, job, 0, 2)
    assert jobs.speakers(database, job) == (Speaker(1, None, 100), Speaker(2, None, 300))


def test_what_is_not_there_is_not_changed(database: Database) -> None:
    job = three(database)
    for change in (
        lambda: jobs.name_speaker(database, job, 3, "x"),
        lambda: jobs.merge_speakers(database, job, 1, 3),
        lambda: jobs.merge_speakers(database, job, 3, 1),
        lambda: jobs.assign_sentence(database, job, 0, 3),
        lambda: jobs.assign_sentence(database, job, 3, 1),
    ):
        with pytest.raises(NotFound):
            change()
    plain = submitted(database)
    assert jobs.speakers(database, plain) is None
    with pytest.raises(NoSpeakers):
        jobs.name_speaker(database, plain, 1, "x")
    assert told(database, job) == [("甲。", 1), ("乙乙。", 2), ("丙。", 1)]


def test_a_copy_of_a_transcript_has_its_speakers_without_their_names(database: Database) -> None:
    first = finish(database, held(database, audio_sha256="ab"), [said("甲。", 0, 1)], [said("乙。", 1000, 2)])
    jobs.name_speaker(database, first, 1, "王芳")

    def copied(options: TranscriptionOptions) -> Job | None:
        job = submitted(database, audio_sha256="ab", dedupe=True, options=options)
        found = jobs.complete_from_duplicate(
            database, claimed(database, job), revision="r1", precision="fp32", segmentation="fixed", stage_ms={}
        )
        return jobs.get(database, job.id) if found else None

    copy = copied(ASKED)
    assert copy is not None
    assert told(database, copy) == [("甲。", 1), ("乙。", 2)]
    assert jobs.speakers(database, copy) == (Speaker(1, None, 100), Speaker(2, None, 100))
    assert copied(TranscriptionOptions(speakers=True)) is None
    assert copied(TranscriptionOptions()) is None
