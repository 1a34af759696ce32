"""The `paraqueue` command against the API: what it prints for people and for programs."""

from __future__ import annotations

import json
import time
import webbrowser
from pathlib import Path
from zipfile import ZipFile

import pytest

from common import ids, jobs
from paraqueue import Client
from paraqueue.cli import confirming, show
from paraqueue.config import KEY_VARIABLE, URL_VARIABLE
from tests.api.api_cases import Api
from tests.api.command_cases import Run, fields
from tests.db.job_cases import completed, execute, submitted
from tests.servers import ADMIN_KEY


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


def test_usage_is_that_of_whole_days(api: Api, run: Run) -> None:
    for moment in ("2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z", "2026-03-02T23:59:59Z", "2026-03-03T00:00:00Z"):
        ended = completed(api.database)
        execute(api.database, "UPDATE usage SET ended_at = :moment WHERE job_id = :id", moment=moment, id=ended.id)
    for zone in ("UTC", "America/New_York", "Asia/Shanghai"):
        span = fields(run("usage", "--from", "2026-03-01", "--to", "2026-03-02", TZ=zone))
        assert [row[:2] for row in span] == [["2026-03-01", "1"], ["2026-03-02", "1"]]
    [[model, whole, *_]] = fields(run("usage", "--by", "model", "--from", "2026-02-01", "--to", "2026-03-02T12:00"))
    assert (model, whole) == ("demo-zh", "2")
    [[key_name, key_id, *_]] = fields(run("usage", "--by", "key", "--from", "2026-02-01", "--to", "2026-04-01"))
    assert (key_name, key_id) == ("", "")
    assert run("usage", "--from", "soon").exit_code == 2
    assert run("usage", "--by", "colour").exit_code == 1


@pytest.mark.parametrize("name", [r"a\[/x]b", "[/red]", "[bold]a", ":smile: [link=x]", "100:100:b\\"])
def test_names_are_shown_as_they_are(api: Api, run: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    job = completed(api.database, submitted(api.database, name=name), name)
    run("tag", job.public_id, "--add", name)
    monkeypatch.setattr(show.out(), "_width", 200)
    monkeypatch.setattr(show.out(), "_force_terminal", True)
    commands = (("list",), ("status", job.public_id), ("watch", job.public_id), ("sentences", job.public_id))
    for command in commands:
        shown = run(*command)
        assert (shown.exit_code, shown.exception) == (0, None), shown.output
        assert name in shown.stdout
    missing = run("vocabularies", "show", name)
    assert missing.exit_code == 2
    assert repr(name) in missing.stderr


def test_sentences_are_not_broken_into_lines(api: Api, run: Run) -> None:
    job = completed(api.database, submitted(api.database), "长" * 300)
    assert run("watch", job.public_id).stdout == f"    0:00  {'长' * 300}\n"


def test_an_export_names_what_is_not_in_it(api: Api, run: Run, tmp_path: Path) -> None:
    done = completed(api.database, submitted(api.database, name="errors.txt.mp3"), "你好。")
    waiting, unknown = submitted(api.database).public_id, "tr_" + "0" * 32
    path = tmp_path / "texts.zip"
    assert run("export", done.public_id, "-o", str(path)).exit_code == 0
    some = run("export", done.public_id, waiting, unknown, "--format", "txt", "-o", str(path))
    assert some.exit_code == 1
    first, second = some.stderr.splitlines()
    assert first.startswith(f"paraqueue: {waiting}: ")
    assert first.endswith("(not_ready)")
    assert second.startswith(f"paraqueue: {unknown}: ")
    assert second.endswith("(not_found)")
    with ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["errors.txt", "errors.txt.txt"]


def test_a_vocabulary_is_found_by_the_client_that_submits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("vocabularies", "create", "Board", "王芳")
    made: list[Client] = []
    begin = Client.__init__

    def counted(client: Client, *arguments: str | None, **options: str | None) -> None:
        made.append(client)
        begin(client, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Client, "__init__", counted)
    assert run("submit", "https://files.example.com/a.mp3", "--vocabulary", "Board").exit_code == 0
    assert len(made) == 1


def test_a_list_that_is_no_text_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "words.docx"
    path.write_bytes(b"\xff\xfe\x00")
    for command in (["batch", "submit", str(path)], ["vocabularies", "add", "Board", "--file", str(path)]):
        refused = run(*command)
        assert (refused.exit_code, "not text in UTF-8" in refused.stderr) == (2, True), refused.output
    assert run("vocabularies", "add", "Board", "--file", str(tmp_path / "missing")).exit_code == 2
