"""The `paraqueue` command against the API: what it prints for people and for programs."""

from __future__ import annotations

import json
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from common import ids, jobs
from paraqueue.cli import confirming, show
from paraqueue.cli.app import app
from paraqueue.config import FILE_VARIABLE, KEY_VARIABLE, PROFILE_VARIABLE, URL_VARIABLE
from tests.api.api_cases import Api
from tests.db.job_cases import claimed, completed, execute, fail, submitted
from tests.servers import ADMIN_KEY

Run = Callable[..., Result]


@pytest.fixture
def run(api: Api, tmp_path: Path) -> Run:
    """Run the command; changes of its environment are keyword arguments."""
    environment: dict[str, str | None] = {
        URL_VARIABLE: str(api.client.base_url).rstrip("/"),
        KEY_VARIABLE: ADMIN_KEY,
        FILE_VARIABLE: str(tmp_path / "config.toml"),
        PROFILE_VARIABLE: None,
        "XDG_STATE_HOME": str(tmp_path),
    }

    def run(*arguments: str, input: str | None = None, **changes: str) -> Result:
        return CliRunner().invoke(app, list(arguments), input=input, env={**environment, **changes})

    return run


def fields(result: Result) -> list[list[str]]:
    """The output of a list that a program reads."""
    assert result.exit_code == 0, result.output
    return [line.split("\t") for line in result.stdout.splitlines()]


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


def test_sentences_are_found_listed_and_corrected(api: Api, run: Run) -> None:
    job = completed(api.database, submitted(api.database, name="a.mp3"), "你好，世界。", "再见。")
    assert fields(run("search", "世界")) == [["a.mp3", "0", "0", "你好，世界。", job.public_id]]
    assert fields(run("search", "没有")) == []
    assert fields(run("sentences", job.public_id)) == [["0", "0", "", "你好，世界。"], ["1", "1000", "", "再见。"]]
    end = run("sentences", job.public_id, "--after", "0", "-n", "1")
    assert (fields(end), end.stderr) == ([["1", "1000", "", "再见。"]], "")
    assert run("sentences", job.public_id, "-n", "1").stderr.strip().endswith("there are more: --after 0")
    assert run("correct", job.public_id, "1", "再见，朋友。").stdout == "再见，朋友。\n"
    assert json.loads(run("search", "朋友", "--json").stdout)[0]["number"] == 1
    assert run("correct", job.public_id, "1", "--restore").stdout == "再见。\n"
    assert run("correct", job.public_id, "1").exit_code == 2
    assert run("correct", job.public_id, "1", "x", "--restore").exit_code == 2
    assert run("correct", job.public_id, "7", "x").exit_code == 5
    assert fields(run("split", job.public_id, "0", "2")) == [["0", "你好，"], ["1000000002", "世界。"]]
    assert run("confirm", job.public_id, "1000000002", "0").stdout == "世界。\n"
    assert run("merge", job.public_id, "0").stdout == "你好，世界。\n"
    assert run("split", job.public_id, "0", "9").exit_code != 0


def test_a_text_is_replaced_everywhere(api: Api, run: Run) -> None:
    job = completed(api.database, submitted(api.database, name="a.mp3"), "Gpu 很快。", "再见。", "gpu。")
    would = run("replace", job.public_id, "gpu", "GPU", "-i", "--dry-run")
    assert fields(would) == [["0", "GPU 很快。"], ["2", "GPU。"]]
    assert run("sentences", job.public_id).stdout.count("GPU") == 0
    assert fields(run("replace", job.public_id, "gpu", "GPU")) == [["2", "GPU。"]]
    assert fields(run("replace", job.public_id, "gpu", "GPU", "-i")) == [["0", "GPU 很快。"]]
    assert run("sentences", job.public_id).stdout.count("GPU") == 2
    assert run("replace", job.public_id, "", "x").exit_code == 2
    assert run("replace", job.public_id, "再见。", "").exit_code != 0, "a sentence cannot be empty"


def test_words_are_confirmed_and_changes_listed(api: Api, run: Run) -> None:
    job = completed(api.database, submitted(api.database, name="a.mp3"), "你好，世界。")
    for place in ("1", "0"):
        assert run("confirm", job.public_id, "0", place).stdout == "你好，世界。\n"
    run("correct", job.public_id, "0", "你好。")
    listed = fields(run("history", job.public_id, "0"))
    assert [[line[0], *line[3:]] for line in listed] == [
        ["3", "你好。", "你好，世界。"],
        ["2", "你好，世界。", "你好，世界。"],
        ["1", "你好，世界。", "你好，世界。"],
    ]
    assert json.loads(run("history", job.public_id, "0", "--json").stdout)[0]["confirmed"] == [0, 1]
    assert run("confirm", job.public_id, "0", "9").exit_code != 0
    assert run("confirm", job.public_id, "7", "0").exit_code == 5


def test_batches_are_submitted_from_files_and_shown(run: Run, tmp_path: Path) -> None:
    links = tmp_path / "links.txt"
    links.write_text("https://files.example.com/1.mp3\n\nftp://files.example.com/2.mp3\n")
    submitted = run("batch", "submit", str(links), "https://files.example.com/3.mp3", "--tag", "b")
    batch = submitted.stdout.strip()
    assert submitted.exit_code == 1, "a link was refused"
    assert submitted.stderr.startswith("paraqueue: ftp://files.example.com/2.mp3: ")
    rows = fields(run("batch", "show", batch))
    assert [row[:2] for row in rows] == [["0", "queued"], ["1", "refused"], ["2", "queued"]]
    assert rows[1][2] == ""
    assert "(invalid_request)" in rows[1][3]
    [[id, status, done, failed, _]] = fields(run("batch", "list"))
    assert (id, status, done, failed) == (batch, "processing", "1/3", "1")
    assert len(json.loads(run("batch", "submit", "-", "--json", input="https://e.com/a.mp3\n").stdout)["items"]) == 1
    assert run("batch", "submit", "-", input="\n").exit_code == 2
    begin = run("batch", "list", "-n", "1")
    after = begin.stderr.strip().rpartition(" ")[2]
    end = run("batch", "list", "--after", after)
    assert ([line[0] for line in fields(end)], end.stderr) == ([batch], "")


def test_dedupe_finds_the_earlier_transcript(api: Api, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF audio")
    first = run("submit", str(tmp_path / "a.wav")).stdout.strip()
    completed(api.database, jobs.get(api.database, ids.parsed(ids.JOB, first)))
    assert run("submit", str(tmp_path / "a.wav")).stdout.strip() != first
    again = json.loads(run("submit", str(tmp_path / "a.wav"), "--dedupe", "--json").stdout)[0]["transcription"]
    assert first in {again["id"], again["deduplicated_from"]}


def test_open_shows_the_page_of_the_console(api: Api, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    id = submitted(api.database).public_id
    page = f"{str(api.client.base_url).rstrip('/')}/#/t/{id}"
    opened: list[str] = []

    def browse(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    assert run("open", id, "--print").stdout == f"{page}\n"
    assert (run("open", id).stdout, opened) == ("", [page])
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert run("open", id).stdout == f"{page}\n", "no browser here"
    assert run("open", "tr_" + "0" * 32).exit_code == 5


def test_deleting_asks_at_a_terminal_only(api: Api, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (submitted(api.database).public_id for _ in range(3))
    assert run("delete", first).stdout == f"{first} deleted\n"
    monkeypatch.setattr(confirming, "at_terminal", lambda: True)
    asked = run("delete", second, third, input="n\n")
    assert asked.exit_code == 1
    assert "Delete 2 transcriptions" in asked.stderr
    assert len(fields(run("list"))) == 2
    assert run("delete", second, "--yes").stdout == f"{second} deleted\n"
    assert run("delete", third, input="y\n").exit_code == 0
    assert fields(run("list")) == []


def test_profiles_are_kept_and_chosen(api: Api, run: Run) -> None:
    url = str(api.client.base_url).rstrip("/")
    assert run("--profile", "test", "config", "set", "url", url).exit_code == 0
    assert run("--profile", "test", "config", "set", "api_key", "-", input=f"{ADMIN_KEY}\n").exit_code == 0
    elsewhere = {URL_VARIABLE: "http://127.0.0.1:9", KEY_VARIABLE: "pq_live_wrong"}
    assert run("--profile", "test", "list", **elsewhere).exit_code == 0, "what is typed comes first"
    assert run("list", **elsewhere).exit_code == 4
    shown = run("--profile", "test", "config", "show").stdout
    assert url in shown
    assert "profiles  test" in shown
    missing = run("--profile", "tset", "list")
    assert (missing.exit_code, "profiles: test" in missing.stderr) == (2, True)


@pytest.mark.parametrize("arguments", [["list"], ["submit", "FILE"], ["watch", "tr_0"], ["keys", "list"]])
def test_a_service_that_is_away_is_told_at_once(
    run: Run, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: float) -> None:
        raise AssertionError("it waited")

    monkeypatch.setattr(time, "sleep", never)
    (tmp_path / "FILE").write_bytes(b"x")
    named = [str(tmp_path / item) if item == "FILE" else item for item in arguments]
    away = run(*named, **{URL_VARIABLE: "http://127.0.0.1:9"})
    assert away.exit_code == 4, away.output
    assert away.stderr.startswith("paraqueue: the service does not respond: ")
    assert "PARAQUEUE_URL" in away.stderr


@pytest.mark.parametrize("arguments", [["-h"], ["list", "-h"], ["batch", "submit", "-h"], ["config", "-h"]])
def test_h_is_help(run: Run, arguments: list[str]) -> None:
    shown = run(*arguments)
    assert shown.exit_code == 0
    assert shown.stdout.startswith("Usage: ")
    assert "-h, --help" in shown.stdout
