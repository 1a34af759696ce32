"""Pages, cursors and transcripts as they are read."""

from __future__ import annotations

import base64
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import ids, jobs
from common.db import Database
from common.errors import Expired, InvalidRequest, NotFound, NotReady
from common.job_states import Status
from common.jobs import Sort
from common.storage import LocalStorage
from tests.db.job_cases import (
    NO_LIMIT,
    canceled,
    claimed,
    completed,
    execute,
    part,
    submitted,
)


def walk(database: Database, limit: int, **filters: object) -> list[uuid.UUID]:
    """All ids, page by page."""
    seen: list[uuid.UUID] = []
    after: str | None = None
    while True:
        page = jobs.page(database, after=after, limit=limit, **filters)  # type: ignore[arg-type]
        assert len(page.jobs) <= limit
        seen += [job.id for job in page.jobs]
        after = page.next_cursor
        if after is None:
            return seen


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_hold_every_job_once_newest_first(database: Database, limit: int) -> None:
    made = [submitted(database).id for _ in range(7)]
    assert walk(database, limit) == made[::-1]


def test_jobs_of_the_same_moment_are_all_found(database: Database) -> None:
    made = [submitted(database).id for _ in range(9)]
    execute(database, "UPDATE jobs SET created_at = '2026-01-01 00:00:00.123456Z'")
    assert walk(database, 2) == sorted(made, reverse=True)


def test_pages_are_stable_while_jobs_are_added_and_deleted(database: Database) -> None:
    made = [submitted(database).id for _ in range(6)]
    first = jobs.page(database, limit=3)
    for _ in range(4):
        submitted(database)
    execute(database, "DELETE FROM jobs WHERE id = :id", id=made[3])  # the one that the cursor names
    second = jobs.page(database, limit=3, after=first.next_cursor)
    assert [job.id for job in first.jobs] == made[:2:-1]
    assert [job.id for job in second.jobs] == made[2::-1]
    assert second.next_cursor is None


def test_filters_go_with_the_cursor(database: Database) -> None:
    tagged = [submitted(database, tags=("a", "b") if i % 2 else ("b",)).id for i in range(8)]
    gone = [canceled(database, job).id for job in (jobs.get(database, i) for i in tagged[:4])]
    assert walk(database, 1, tag="a") == tagged[::-1][::2]
    assert walk(database, 2, status=Status.CANCELED) == gone[::-1]
    assert walk(database, 1, status=Status.CANCELED, tag="a") == [gone[3], gone[1]]
    assert walk(database, 5, tag="c") == []


NAMES = ["b.mp3", "A.mp3", "会议 2.mp3", "B.MP3", None, "a.mp3", "ab" * 120 + "2", "ab" * 120 + "1"]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_jobs_are_sorted_over_all_pages(database: Database, limit: int) -> None:
    made = [submitted(database, name=name).id for name in NAMES]
    for job_id, audio_ms in zip(made, [5, 3, None, 2**40, 3, 0, None, 4], strict=True):
        execute(database, "UPDATE jobs SET audio_ms = :ms WHERE id = :id", ms=audio_ms, id=job_id)
    assert walk(database, limit, sort=Sort.OLDEST) == made
    by_length = [made[number] for number in (3, 0, 7, 4, 1)]
    assert walk(database, limit, sort=Sort.LONGEST) == [*by_length, made[6], made[5], made[2]]
    assert walk(database, limit, sort=Sort.NAME) == [made[number] for number in (4, 1, 5, 6, 7, 0, 3, 2)]
    assert walk(database, limit, sort=Sort.NAME, tag="none") == []


def test_jobs_are_found_by_words_of_their_names(database: Database) -> None:
    board, meeting, other = (submitted(database, name=name).id for name in ("Board 7.mp3", "董事会会议（7）.wav", None))
    wanted = {
        "board": [board],
        "7": [meeting, board],
        "会议": [meeting],
        "议会": [],
        "7 BOA": [board],
        "(7)": [meeting],
        "mp4": [],
        "100%": [],
    }
    assert {name: walk(database, 1, name=name) for name in wanted} == wanted
    assert walk(database, 1, name="7", sort=Sort.NAME) == [board, meeting]
    assert walk(database, 1, name="7", sort=Sort.OLDEST) == [board, meeting]
    jobs.relabel(database, other, tenant="default", name="Board 8")
    jobs.relabel(database, board, tenant="default", name="renamed")
    assert walk(database, 1, name="board") == [other]
    assert walk(database, 1, tenant="acme", name="renamed") == []
    with pytest.raises(InvalidRequest, match="`name` contains no letter or digit"):
        jobs.page(database, name="…")


def test_a_cursor_is_of_its_own_order(database: Database) -> None:
    for name in ("a", "b"):
        submitted(database, name=name)
    cursors = {sort: jobs.page(database, sort=sort, limit=1).next_cursor for sort in Sort}
    for sort in Sort:
        for other, cursor in cursors.items():
            if other is sort:
                assert len(jobs.page(database, sort=sort, after=cursor).jobs) == 1
            else:
                with pytest.raises(InvalidRequest):
                    jobs.page(database, sort=sort, after=cursor)


def test_previews_are_the_beginning_of_the_text_as_it_stands(database: Database) -> None:
    claim = claimed(database, submitted(database))
    jobs.commit_part(database, claim, part(0, "嗯。", "Good", "morning all.", "later"), first_sentence=0)
    job = jobs.get(database, claim.job.id)
    jobs.correct(database, job, 0, "好。")
    waiting = submitted(database)
    page = jobs.page(database, previews=True)
    assert page.previews == {job.id: "好。Good morning all."}
    assert [found.id for found in page.jobs] == [waiting.id, job.id]
    assert jobs.page(database).previews is None


def test_names_and_tags_change_and_lists_agree(database: Database) -> None:
    job = submitted(database, name="a.b.mp3", tags=("a", "b", "b"))
    relabeled = jobs.relabel(
        database, job.id, tenant="default", name="Board 3.5", add_tags=["c", "a"], remove_tags=["b"]
    )
    assert (relabeled.name, relabeled.shown_name, relabeled.tags) == ("Board 3.5", "Board 3.5", ("a", "c"))
    assert jobs.get(database, job.id) == relabeled
    assert {tag: len(walk(database, 1, tag=tag)) for tag in "abc"} == {"a": 1, "b": 0, "c": 1}
    assert relabeled.stem == "Board 3.5"
    back = jobs.relabel(database, job.id, tenant="default", name=None, tags=["会议"])
    assert (back.shown_name, back.stem, back.tags) == ("a.b.mp3", "a.b", ("会议",))
    assert {tag: len(walk(database, 1, tag=tag)) for tag in ("a", "c", "会议")} == {"a": 0, "c": 0, "会议": 1}
    assert jobs.relabel(database, job.id, tenant="default") == back
    with pytest.raises(InvalidRequest, match="at most 20 tags; this would be 21"):
        jobs.relabel(database, job.id, tenant="default", add_tags=[str(number) for number in range(20)])
    with pytest.raises(NotFound):
        jobs.relabel(database, job.id, tenant="acme", name="theirs")
    assert jobs.get(database, job.id) == back
    jobs.relabel(database, job.id, tenant="default", tags=[])
    assert walk(database, 1, tag="会议") == []


def test_page_without_jobs_has_no_next(database: Database) -> None:
    assert jobs.page(database) == jobs.Page((), None)


def coded(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "====",
        "%00",
        "日本",
        coded(""),
        coded("|"),
        coded("2026-01-01T00:00:00+00:00"),
        coded("2026-01-01T00:00:00|" + "0" * 32),
        coded("2026-01-01T00:00:00+00:00|xyz"),
        coded("yesterday|" + "0" * 32),
    ],
)
def test_a_cursor_of_somebody_else_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        jobs.page(database, after=cursor)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_cursor_beyond_the_end_of_time_is_refused(database: Database, moment: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        jobs.page(database, after=coded(f"{moment}|{'0' * 32}"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plain=st.one_of(
        st.text(max_size=80),
        st.builds(
            lambda moment, number: f"{moment.isoformat()}|{number:032x}",
            st.datetimes(timezones=st.timezones() | st.none()),
            st.integers(0, 2**128 - 1),
        ),
    ),
    raw=st.booleans(),
)
def test_no_cursor_is_a_crash(pool: Database, plain: str, raw: bool) -> None:
    try:
        jobs.page(pool, after=plain if raw else coded(plain.encode("utf-8", "replace").decode()))
    except InvalidRequest as error:
        assert "after" in error.message


def test_transcript_longer_than_one_fetch_is_whole_and_in_order(database: Database) -> None:
    held = claimed(database)
    spoken = [f"第{number}句。" for number in range(450)]
    jobs.commit_part(database, held, part(0, *spoken[:201]), first_sentence=0)
    jobs.commit_part(database, held, part(1, *spoken[201:]), first_sentence=201)
    texts = [sentence.text for sentence in jobs.sentences(database, jobs.get(database, held.job.id))]
    assert texts == spoken


@pytest.mark.parametrize("number", [0, 1, 199, 200, 201, 400])
def test_transcript_ends_at_the_edge_of_a_fetch(database: Database, number: int) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, *["句。"] * number), first_sentence=0)
    assert len(list(jobs.sentences(database, held.job))) == number


@pytest.mark.parametrize("read", [0, 1, 200])
@pytest.mark.parametrize("number", [200, 400])
def test_transcript_that_is_deleted_while_it_is_read_does_not_seem_whole(
    database: Database, tmp_path: Path, number: int, read: int
) -> None:
    job = completed(database, None, *["句。"] * number)
    reader = jobs.sentences(database, job)
    assert len([next(reader) for _ in range(read)]) == read
    jobs.delete_job(database, LocalStorage(tmp_path), job.id)
    with pytest.raises(NotFound):
        list(reader)


def test_transcript_that_expires_while_it_is_read_does_not_seem_whole(database: Database) -> None:
    job = completed(database, None, *["句。"] * 300)
    reader = jobs.sentences(database, job)
    next(reader)
    execute(database, "UPDATE jobs SET finished_at = now() - interval '2 days' WHERE id = :id", id=job.id)
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=3600) == 1
    with pytest.raises(Expired):
        list(reader)


def test_transcript_whose_job_is_retried_while_it_is_read_does_not_seem_whole(database: Database) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, *["句。"] * 300), first_sentence=0)
    job = replace(jobs.get(database, held.job.id), run=0)  # a run whose sentences are gone
    with pytest.raises(NotReady, match="retried"):
        list(jobs.sentences(database, job))


def test_no_connection_is_held_between_fetches(database: Database) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, *["句。"] * 300), first_sentence=0)
    readers = [jobs.sentences(database, held.job) for _ in range(40)]
    assert {next(reader).text for reader in readers} == {"句。"}
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_transcript_is_ready_when_the_job_is(database: Database) -> None:
    queued = submitted(database)
    with pytest.raises(NotReady, match="queued"):
        jobs.readable(queued, partial=False)
    assert jobs.readable(queued, partial=True) is queued
    done = completed(database)
    assert jobs.readable(done, partial=False) is done


def test_words_survive_the_database(database: Database) -> None:
    held = claimed(database)
    wanted = part(0, "我们用 API 开会。")
    jobs.commit_part(database, held, wanted, first_sentence=0)
    assert tuple(jobs.sentences(database, held.job)) == wanted.sentences


def test_public_ids_name_their_job(database: Database) -> None:
    job = submitted(database)
    assert job.public_id == f"tr_{job.id.hex}"
    assert ids.parsed(ids.JOB, job.public_id) == job.id
