"""Sentences are found by the words in them, by an index, and only by their own tenant."""

from __future__ import annotations

import random
import re
import time
import uuid

import psycopg
import pytest
from sqlalchemy import Connection

from common import jobs
from common.db import BoundedConnection, Database, cursors
from common.errors import InvalidRequest
from common.jobs import Hit
from common.jobs.reading import search_newest
from common.models import DEFAULT_TENANT
from common.settings import Settings
from tests.db.job_cases import (
    claimed,
    completed,
    execute,
    fail,
    one,
    part,
    rows,
    storage_of,
    submitted,
    write_many,
)


def hits(database: Database, query: str, tenant: str = DEFAULT_TENANT) -> list[str]:
    return [hit.text for hit in jobs.search(database, query, tenant=tenant).hits]


def matched(hit: Hit) -> list[str]:
    return [hit.text[first:behind] for first, behind in hit.matches]


def test_a_sentence_is_found_with_its_time_and_job(database: Database) -> None:
    job = completed(database, submitted(database, name="会议.mp3"), "大家好。", "明年的预算通过了。")
    [hit] = jobs.search(database, "预算", tenant=DEFAULT_TENANT).hits
    assert (hit.transcription_id, hit.job_name, hit.number) == (job.public_id, "会议.mp3", 1)
    assert (hit.start_ms, hit.end_ms, hit.channel) == (1000, 1800, 0)
    assert hit.text == hit.snippet == "明年的预算通过了。"
    assert matched(hit) == ["预算"]


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("预算", True),
        ("预算表", True),
        ("算", True),
        ("GPU", True),
        ("gpu", True),
        ("ｇｐｕ", True),
        ("cuda", True),
        ("12", True),
        ("１２", True),
        ("预算 gpu", True),
        ("gpu 预算", True),
        ("表 算", True),
        ("预算表，gpu", True),
        ("C++", True),
        ("表gpu", False),  # separated by a comma
        ("算预", False),
        ("预表", False),
        ("预算 成本", False),
        ("tpu", False),
        ("c+-", False),
    ],
)
def test_what_counts_as_the_same(database: Database, query: str, is_found: bool) -> None:
    completed(database, None, "今年的预算表，GPU 要 ＣＵＤＡ 12 和 C++。", "别的。")
    assert len(hits(database, query)) == is_found


def test_each_match_is_shown(database: Database) -> None:
    completed(database, None, "预算Ａ和ＧＰＵ预算。")
    [hit] = jobs.search(database, "预算 gpu a", tenant=DEFAULT_TENANT).hits
    assert matched(hit) == ["预算", "Ａ", "ＧＰＵ", "预算"]


def test_a_long_sentence_is_cut_around_the_match(database: Database) -> None:
    completed(database, None, "前" * 100 + "预算" + "后" * 100 + "。")
    [hit] = jobs.search(database, "预算", tenant=DEFAULT_TENANT).hits
    assert len(hit.text) == 203
    assert re.fullmatch(r"…前{39}预算后{39}…", hit.snippet)
    assert matched(hit) == ["预算"]


@pytest.mark.parametrize("query", ["", "  ", "，。", "++", "\u3000"])
def test_a_query_without_a_letter_is_refused(database: Database, query: str) -> None:
    with pytest.raises(InvalidRequest):
        hits(database, query)


# Always the same: both processes of the tests collect these names.
SOMEBODY = uuid.UUID(int=7)
OTHERS = [cursors.encoded_key(*place, SOMEBODY) for place in (("longest", 1), ("search", 2**31), ("search", -1))]


@pytest.mark.parametrize("after", ["x", "%", "AAAA", "MTIzfDE", "ä", *OTHERS])
def test_a_cursor_of_somebody_else_is_refused(database: Database, after: str) -> None:
    with pytest.raises(InvalidRequest):
        jobs.search(database, "预算", tenant=DEFAULT_TENANT, after=after)


def test_nobody_finds_the_sentences_of_others(database: Database) -> None:
    completed(database, submitted(database, tenant="a"), "甲的预算。")
    completed(database, submitted(database, tenant="b"), "乙的预算。")
    assert hits(database, "预算", "a") == ["甲的预算。"]
    assert hits(database, "预算", "b") == ["乙的预算。"]
    assert hits(database, "预算") == []


def test_an_earlier_run_and_what_was_deleted_stay_out_of_sight(database: Database, settings: Settings) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, "旧的预算。"), first_sentence=0)
    assert hits(database, "预算") == ["旧的预算。"]  # also before the job is completed
    fail(database, held)
    jobs.retry(database, held.job.id)
    assert hits(database, "预算") == []
    job = completed(database, jobs.get(database, held.job.id), "新的预算。")
    assert hits(database, "预算") == ["新的预算。"]
    jobs.delete_job(database, storage_of(settings), job.id)
    assert hits(database, "预算") == []


def test_pages_hold_each_hit_once_newest_jobs_first(database: Database) -> None:
    for job in range(3):
        completed(database, None, *(f"预算第{job}号{n}句。" for n in range(5)))
    seen: list[str] = []
    after = None
    while True:
        page = jobs.search(database, "预算", tenant=DEFAULT_TENANT, after=after, limit=4)
        seen += [hit.text for hit in page.hits]
        if (after := page.next_cursor) is None:
            break
    assert seen == [f"预算第{job}号{n}句。" for job in (2, 1, 0) for n in range(5)]


def test_single_letters_are_looked_for_in_the_newest_sentences(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in range(3):
        completed(database, None, *(f"第{job}号{n}句会。" for n in range(5)))
    corrected = completed(database, None, "好的。")
    jobs.correct(database, corrected, 0, "会的。")
    completed(database, submitted(database, tenant="other"), "会。")
    whole = jobs.search(database, "会", tenant=DEFAULT_TENANT, limit=100)
    assert (len(whole.hits), whole.capped, whole.hits[0].text) == (16, False, "会的。")
    monkeypatch.setattr(search_newest, "NEWEST_SENTENCES", 8)
    seen: list[str] = []
    after = None
    while True:
        page = jobs.search(database, "会", tenant=DEFAULT_TENANT, after=after, limit=3)
        assert page.capped
        seen += [hit.text for hit in page.hits]
        if (after := page.next_cursor) is None:
            break
    assert seen == ["会的。", *(f"第2号{n}句会。" for n in range(5)), "第1号0句会。", "第1号1句会。"]
    assert jobs.search(database, "没", tenant=DEFAULT_TENANT).hits == ()
    assert not jobs.search(database, "句会", tenant=DEFAULT_TENANT).capped
    assert jobs.search(database, "会 2", tenant=DEFAULT_TENANT).capped


# A tenth of them says 我们; 预算 is rare; one tenant of a hundred has a thousandth of them.
FILL = """
INSERT INTO jobs (id, tenant, status, model, channels, source_kind, source_url)
SELECT ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       CASE WHEN n % :jobs = 0 THEN 'small' ELSE 'default' END, 'completed', 'demo-zh', 'mix', 'https',
       'https://example.com/a' FROM generate_series(1, :jobs) n
"""
SENTENCES_OF_A_JOB = 1000
LETTERS = [chr(code) for code in range(0x4E00, 0x4E00 + 2500)]


def fill(database: Database, sentences: int) -> None:
    """Random text with the letters of a language: few of them make up most of it."""
    count = sentences // SENTENCES_OF_A_JOB
    write_many(database, FILL, jobs=count)
    chance = random.Random(5)
    weights = [1 / (n + 10) for n in range(len(LETTERS))]
    texts = ["".join(chance.choices(LETTERS, weights, k=chance.randint(8, 30))) + "。" for _ in range(20_000)]
    texts = [text + "我们走。" if n % 10 == 0 else text for n, text in enumerate(texts)]
    job_ids = [row[0] for row in rows(database, "SELECT id FROM jobs ORDER BY id")]
    tenants = {row[0]: row[1] for row in rows(database, "SELECT id, tenant FROM jobs")}
    columns = "job_id, run, number, tenant, channel, start_ms, end_ms, confidence, text, words"
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        without_limits(connection)
        with driver.cursor().copy(f"COPY sentences ({columns}) FROM STDIN") as copy:
            for place, job_id in enumerate(job_ids):
                for number in range(SENTENCES_OF_A_JOB):
                    text = texts[(place * 7919 + number * 13) % len(texts)]
                    if number == 500 and place % 10 == 0:
                        text = f"第{place}次预算。"
                    copy.write_row((job_id, 1, number, tenants[job_id], 0, 0, 1, 1.0, text, "[]"))
        driver.commit()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        without_limits(connection)
        connection.exec_driver_sql("VACUUM ANALYZE")


def without_limits(connection: Connection) -> None:
    """What fills a large table takes longer than any statement of the service may."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, BoundedConnection)
    driver.answer_timeout_seconds = 1800.0
    connection.exec_driver_sql("SET statement_timeout = 0")


def plan_of(database: Database, query: str, tenant: str = DEFAULT_TENANT) -> tuple[str, float]:
    """Return how PostgreSQL finds it, according to the plan, and the median time of the call in milliseconds."""
    notices: list[str] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        notices.append(notice.message_primary or "")

    explained = Database(database.url, 1)
    try:
        with explained.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            driver.add_notice_handler(hear)
            driver.execute("LOAD 'auto_explain'")
            driver.execute("SET auto_explain.log_min_duration = 0")
            driver.execute("SET auto_explain.log_level = 'notice'")
            driver.commit()
        times = []
        for _ in range(12):  # psycopg prepares it on the way
            notices.clear()
            began = time.perf_counter()
            jobs.search(explained, query, tenant=tenant)
            times.append((time.perf_counter() - began) * 1000)
        return "\n".join(plan for plan in notices if "sentences" in plan), sorted(times)[len(times) // 2]
    finally:
        explained.close()


def test_two_letters_are_looked_up_and_never_read_through(database: Database) -> None:
    fill(database, 50_000)
    plan, _ = plan_of(database, "预算")
    assert "sentences_search" in plan, plan
    assert "Seq Scan on sentences" not in plan
    assert len(hits(database, "预算")) == 5
    # What people wrote is looked up too, where they wrote much.
    execute(
        database,
        "INSERT INTO edits (job_id, run, number, tenant, text, revision) "
        "SELECT job_id, run, number, tenant, CASE WHEN number = 7 THEN '质检。' ELSE text END, 1 FROM sentences "
        "WHERE number < 200",
    )
    execute(database, "ANALYZE edits")
    plan, _ = plan_of(database, "质检")
    assert {"sentences_search", "edits_search"} <= set(re.findall(r"\w+_search", plan)), plan
    assert "Seq Scan on edits" not in plan, plan
    assert "Seq Scan on sentences" not in plan, plan
    assert len(hits(database, "质检")) == 20
    execute(database, "DELETE FROM jobs")


INDEX = "CREATE INDEX sentences_search ON sentences USING gin (search_grams(tenant, text, 1))"
ASKED = [("预算", "default"), ("我们", "default"), ("我", "default"), ("我们", "small"), ("我们 预算", "default")]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_sentences(database: Database) -> None:
    """The rare word, a common one, a single letter, and what a small tenant finds of a common word."""
    execute(database, "DROP INDEX sentences_search")
    fill(database, 1_000_000)
    began = time.perf_counter()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        without_limits(connection)
        connection.exec_driver_sql(INDEX)
        connection.exec_driver_sql("VACUUM ANALYZE sentences")
    built = time.perf_counter() - began
    size = one(database, "SELECT pg_size_pretty(pg_relation_size('sentences_search'))")
    table = one(database, "SELECT pg_size_pretty(pg_table_size('sentences'))")
    print(f"\nindex built in {built:.0f} s: {size} beside a table of {table}")
    for query, tenant in ASKED:
        plan, took_ms = plan_of(database, query, tenant)
        scans = re.findall(r"(?:Seq|Index|Bitmap)[\w ]* Scan[\w ]* on \w+|Index Scan[\w ]* using \w+", plan)
        print(f"{query} of {tenant}: {took_ms:.1f} ms; {scans}")
        assert "Seq Scan on sentences" not in plan, plan
        if query == "预算" or tenant == "small":
            assert "sentences_search" in plan, plan
