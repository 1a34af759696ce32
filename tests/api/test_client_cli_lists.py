"""The command's lists: for programs, for people, in pages, of a day."""

from __future__ import annotations

import time

import pytest

from paraqueue.cli import show
from tests.api.api_cases import Api
from tests.api.command_cases import Run, fields
from tests.db.job_cases import claimed, completed, execute, fail, submitted


def test_lists_are_tab_separated_for_programs_with_names_first_and_reasons(api: Api, run: Run) -> None:
    done = completed(api.database, submitted(api.database, name="会议 [1]\t.mp3"))
    held = claimed(api.database, submitted(api.database, name="leer.wav"))
    fail(api.database, held)
    failed, first = fields(run("list"))
    assert failed[0] == "leer.wav"
    assert failed[1] == "failed"
    assert failed[4:] == [held.job.public_id, "no samples (audio_empty)"]
    assert first[:3] == ["会议 [1] .mp3", "completed", "10000"]
    assert first[4:] == [done.public_id, ""]
    assert fields(run("list", "--status", "failed")) == [failed]
    assert run("list", "--status", "broken").exit_code == 2


def test_lists_are_tables_for_people(api: Api, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    held = claimed(api.database, submitted(api.database, name="leer [1].wav"))
    fail(api.database, held)
    # A console keeps the width that it found when it was made, perhaps by another test of this process.
    monkeypatch.setattr(show.out(), "_width", 200)
    monkeypatch.setattr(show.out(), "_force_terminal", True)
    heading, row = run("list").stdout.splitlines()
    assert heading.index("name") < heading.index("status") < heading.index("id")
    assert "leer [1].wav" in row
    assert "no samples (audio_empty)" in row
    assert held.job.public_id in row


def test_long_lists_are_paged_and_can_be_continued(api: Api, run: Run) -> None:
    made = [submitted(api.database, name=f"{number}.wav").public_id for number in range(5)][::-1]
    begin = run("list", "-n", "3")
    assert [line[4] for line in fields(begin)] == made[:3]
    hint = begin.stderr.strip()
    assert hint.startswith("paraqueue: there are more: --after ")
    end = run("list", "-n", "3", "--after", hint.rpartition(" ")[2])
    assert ([line[4] for line in fields(end)], end.stderr) == (made[3:], "")


def test_lists_go_beyond_a_page_of_the_api(api: Api, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paraqueue.cli.listing.PAGE", 2)
    made = [submitted(api.database).public_id for _ in range(5)][::-1]
    assert [line[4] for line in fields(run("list", "--limit", "5"))] == made


def test_lists_can_be_narrowed_by_date_tag_and_batch(api: Api, run: Run) -> None:
    old, new = submitted(api.database, tags=("a",)), submitted(api.database, tags=("a",))
    execute(api.database, "UPDATE jobs SET created_at = '2026-03-01 12:00Z' WHERE id = :id", id=old.id)
    submitted(api.database)
    assert [line[4] for line in fields(run("list", "--tag", "a"))] == [new.public_id, old.public_id]
    assert [line[4] for line in fields(run("list", "--from", "2026-02-27", "--to", "2026-03-02"))] == [old.public_id]
    assert fields(run("list", "--to", "2026-02-01")) == []
    assert run("list", "--from", "soon").exit_code == 2
    batch = run("batch", "submit", "https://files.example.com/a.mp3").stdout.strip()
    assert len(fields(run("list", "--batch", batch))) == 1


def test_a_list_of_a_day_has_all_of_it_also_where_clocks_change(
    api: Api, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, next_day = submitted(api.database, name="late.mp3"), submitted(api.database, name="next.mp3")
    execute(api.database, "UPDATE jobs SET created_at = '2026-10-25T23:30+01:00' WHERE id = :id", id=late.id)
    execute(api.database, "UPDATE jobs SET created_at = '2026-10-26T00:30+01:00' WHERE id = :id", id=next_day.id)
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Europe/Berlin")
        time.tzset()
        listed = run("list", "--from", "2026-10-25", "--to", "2026-10-25")
        hour = run("list", "--from", "2026-10-25 23", "--to", "2026-10-26 00")
    time.tzset()
    assert [row[0] for row in fields(listed)] == [row[0] for row in fields(hour)] == ["late.mp3"]
