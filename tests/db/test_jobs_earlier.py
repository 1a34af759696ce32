"""The same audio once more: an earlier transcript is found, or copied, only where it is what would come out."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from common import jobs
from common.db import Database
from common.job_states import Status
from common.jobs import Claim, Job, Served
from common.options.segmentation import FIXED, SegmentationName
from common.options.transcription import TranscriptionOptions
from common.settings import Settings
from tests.db.job_cases import (
    at_once,
    canceled,
    claimed,
    complete,
    completed,
    execute,
    failed,
    one,
    part,
    rows,
    storage_of,
    submission,
    submitted,
)

AUDIO: dict[str, Any] = {"source_kind": "upload", "url": None, "audio_key": "audio/x/y", "audio_sha256": "ab" * 32}
TEXTS = ("你好，世界。", "预算通过了。")


def earlier(database: Database, **changes: Any) -> Job:
    return completed(database, submitted(database, **AUDIO | changes), *TEXTS)


def duplicate(database: Database, **changes: Any) -> Job | None:
    return jobs.find_duplicate(database, submission(**AUDIO | changes))


def taken(
    database: Database,
    held: Claim,
    revision: str = "r1",
    precision: str = "fp32",
    segmentation: SegmentationName = FIXED,
) -> bool:
    return jobs.complete_from_duplicate(
        database,
        held,
        revision=revision,
        precision=precision,
        segmentation=segmentation,
        stage_ms={"fetching": 3},
    )


def test_the_newest_is_found(database: Database) -> None:
    earlier(database)
    newer = earlier(database)
    assert duplicate(database) == newer


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "other"},
        {"model": "other"},
        {"channels": "split"},
        {"audio_sha256": "cd" * 32},
        {"audio_sha256": None},
    ],
)
def test_what_differs_is_not_the_same(database: Database, changes: dict[str, Any]) -> None:
    earlier(database)
    completed(database)  # a link whose hash is unknown
    assert duplicate(database, **changes) is None


def test_only_a_transcript_that_is_there(database: Database) -> None:
    failed(database, submitted(database, **AUDIO))
    canceled(database, submitted(database, **AUDIO))
    submitted(database, **AUDIO)
    assert duplicate(database) is None
    gone = earlier(database)
    execute(database, "UPDATE jobs SET result_deleted_at = now() WHERE id = :id", id=gone.id)
    assert duplicate(database) is None


def test_a_running_job_or_a_new_one(database: Database) -> None:
    first, fresh = jobs.find_or_submit(database, submission(**AUDIO), served=Served(frozenset(["r2"])))
    assert fresh
    assert jobs.find_or_submit(database, submission(**AUDIO), served=Served(frozenset(["r2"]))) == (first, False)
    assert jobs.find_duplicate(database, submission(**AUDIO)) is None
    done = completed(database, first)
    assert jobs.find_or_submit(database, submission(**AUDIO), served=Served(frozenset(["r1"]))) == (done, False)
    assert jobs.find_or_submit(database, submission(**AUDIO), served=Served(frozenset(["r2"])))[1]


def test_many_that_ask_at_once_get_one_job(database: Database) -> None:
    submissions = [submission(**AUDIO) for _ in range(15)]
    results = at_once([partial(jobs.find_or_submit, database, item) for item in submissions])
    assert len({job.id for job, _ in results}) == 1
    assert sum(fresh for _, fresh in results) == 1


def test_another_revision_is_another_transcript(database: Database) -> None:
    made = earlier(database)
    wanted = submission(**AUDIO)
    assert jobs.find_duplicate(database, wanted, served=Served(frozenset(["r2"]))) is None
    assert jobs.find_duplicate(database, wanted, served=Served(frozenset(["r2", "r1"]))) == made


def test_another_default_segmentation_is_another_transcript(database: Database) -> None:
    """A submission that names its segmentation gets just that, whatever the workers do by default."""
    made = earlier(database)
    dynamic, both = (Served(frozenset(["r1"]), frozenset(names)) for names in (["dynamic"], ["dynamic", "fixed"]))
    wanted = submission(**AUDIO)
    assert jobs.find_duplicate(database, wanted, served=dynamic) is None
    assert jobs.find_duplicate(database, wanted, served=both) == made
    named = AUDIO | {"options": TranscriptionOptions(segmentation="fixed")}
    assert duplicate(database, **named) is None
    stated = completed(database, submitted(database, **named))
    assert jobs.find_duplicate(database, submission(**named), served=dynamic) == stated
    running = submitted(database, **AUDIO)
    assert jobs.find_or_submit(database, wanted, served=dynamic) == (running, False)


def test_a_job_takes_the_earlier_transcript(database: Database) -> None:
    """In the place of what an attempt before had done of it."""
    first = earlier(database)
    held = claimed(database, submitted(database, dedupe=True))
    jobs.record_audio(database, held, key="audio/x/z", size=5, sha256=AUDIO["audio_sha256"])
    jobs.commit_part(database, held, part(0, "不全。"), first_sentence=0)
    assert taken(database, held)
    job = jobs.get(database, held.job.id)
    assert (job.status, job.deduplicated_from, job.audio_ms) == (Status.COMPLETED, first.id, first.audio_ms)
    assert job.result is not None
    assert first.result is not None
    assert (job.result.revision, job.result.channels, job.result.processing_ms) == ("r1", 1, 0)
    assert list(jobs.sentences(database, job)) == list(jobs.sentences(database, first))
    assert [item.outcome for item in jobs.attempts(database, job.id)] == ["completed"]
    [[audio_ms, processing_ms]] = rows(
        database, "SELECT audio_ms, processing_ms FROM usage WHERE job_id = :id", id=job.id
    )
    assert (audio_ms, processing_ms) == (0, 0)


def test_a_job_without_an_earlier_one_goes_on(database: Database) -> None:
    earlier(database)
    unknown = claimed(database, submitted(database, dedupe=True))
    assert not taken(database, unknown)
    held = claimed(database, submitted(database, dedupe=True, **AUDIO))
    assert not taken(database, held, revision="r2")
    assert not taken(database, held, precision="int8")
    complete(database, held, "自己的。")
    assert [item.text for item in jobs.sentences(database, held.job)] == ["自己的。"]


def test_who_lost_the_job_completes_nothing(database: Database) -> None:
    earlier(database)
    held = claimed(database, submitted(database, dedupe=True, **AUDIO))
    execute(database, "UPDATE jobs SET status = 'queued', lease_token = NULL WHERE id = :id", id=held.job.id)
    with pytest.raises(jobs.LeaseLost):
        taken(database, held)
    assert one(database, "SELECT count(*) FROM sentences WHERE job_id = :id", id=held.job.id) == 0


def test_the_earlier_job_is_not_deleted_under_the_copy(database: Database, settings: Settings) -> None:
    """Either all sentences are copied or the job is found to be deleted, never half of them."""
    for _ in range(5):
        first = earlier(database)
        held = claimed(database, submitted(database, dedupe=True, **AUDIO))
        deleting = threading.Thread(target=jobs.delete_job, args=(database, storage_of(settings), first.id))
        deleting.start()
        copied = taken(database, held)
        deleting.join(30)
        assert one(database, "SELECT count(*) FROM sentences WHERE job_id = :id", id=held.job.id) == 2 * copied
        execute(database, "DELETE FROM jobs")


def test_a_copy_has_the_sentences_as_the_machine_made_them(database: Database) -> None:
    first = earlier(database)
    jobs.split(database, first, 0, at_word=2)
    jobs.merge(database, first, 0)
    jobs.merge(database, first, 0)
    jobs.split(database, first, 0, at_word=3)
    held = claimed(database, submitted(database, **AUDIO))
    assert taken(database, held)
    copy = jobs.get(database, held.job.id)
    assert [(item.number, item.text, item.edit) for item in jobs.sentences(database, copy)] == [
        (0, TEXTS[0], None),
        (1, TEXTS[1], None),
    ]
