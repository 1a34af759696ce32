"""Transcripts as documents and as archives over HTTP, by the client and by the command."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import docx
import httpx
import pytest
from typer.testing import CliRunner

from api.transcriptions.export import MOST_IDS, Archive
from common import ids, jobs, keys
from common.errors import NotFound
from common.file_names import of_disposition
from common.jobs import Job
from common.keys import ALL_SCOPES, NewKey
from common.transcript.formats import Format
from common.transcript.subtitles import SubtitleOptions
from dev.stack import REPOSITORY
from paraqueue import Client
from paraqueue.cli.app import app
from paraqueue.config import FILE_VARIABLE, KEY_VARIABLE, URL_VARIABLE
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import completed, execute, failed, submitted, uploaded
from tests.servers import ADMIN_KEY

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def named(api: Api, name: str, *texts: str, tenant: str = "default") -> Job:
    job = completed(api.database, uploaded(api.database, api.storage, tenant=tenant), *texts)
    execute(api.database, "UPDATE jobs SET source_name = :name WHERE id = :id", name=name, id=job.id)
    return job


def exported(api: Api, *job_ids: str, secret: str = ADMIN_KEY, **params: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret}"}
    path = "/v1/transcriptions/export"
    return api.client.post(path, json={"ids": list(job_ids)}, params=params, headers=headers)


def files_of(content: bytes) -> dict[str, bytes]:
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}


def shown(content: bytes) -> list[str]:
    return [item.text for item in docx.Document(io.BytesIO(content)).paragraphs]


def test_a_transcript_for_word(api: Api, client: Client) -> None:
    job = named(api, "季度会议.mp3", "甲来了。", "好。")
    answer = api.get(f"/{job.public_id}/transcript", params={"format": "docx"})
    assert answer.headers["content-type"] == DOCX
    assert of_disposition(answer.headers["content-disposition"]) == "季度会议.docx"
    title, facts, turn = shown(answer.content)
    assert (title, turn) == ("季度会议.mp3", "[0:00:00] 甲来了。好。")
    assert f"{job.created_at:%Y-%m-%d %H:%M} UTC" in facts
    assert shown(api.get(f"/{job.public_id}/transcript", headers={"Accept": DOCX}).content) == shown(answer.content)
    assert shown(client.export(job.public_id, times=False))[2] == "甲来了。好。"


def test_text_has_times_if_wanted(api: Api, client: Client) -> None:
    job = completed(api.database, None, "甲来了。", "好。")
    assert api.get(f"/{job.public_id}/transcript", params={"format": "txt"}).text == "甲来了。\n好。\n"
    assert client.text(job.public_id, times=True).splitlines()[0] == "[0:00:00] 甲来了。"
    with_times = api.get(f"/{job.public_id}/transcript", params={"format": "txt", "times": "1", "speakers": "1"})
    assert with_times.text == client.text(job.public_id, times=True)


def test_an_archive_has_a_file_per_transcript_and_a_list_of_errors(api: Api) -> None:
    first, second = named(api, "会议.mp3", "甲来了。"), named(api, "会议.wav", "乙也来了。")
    hostile = named(api, "..\\a/b.mp3", "好。")
    waiting, broken = submitted(api.database), failed(api.database)
    unknown = ids.shown(ids.JOB, ids.new_id())
    gone = completed(api.database)
    execute(api.database, "UPDATE jobs SET result_deleted_at = now() WHERE id = :id", id=gone.id)
    wanted = [first, second, first, waiting, broken, hostile, gone]
    answer = exported(api, *(job.public_id for job in wanted), unknown, "nonsense")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert of_disposition(answer.headers["content-disposition"]) == "transcripts.zip"
    files = {name: content.decode() for name, content in files_of(answer.content).items()}
    errors = [line.split("\t")[:2] for line in files.pop("errors.txt").splitlines()]
    assert files == {"会议.txt": "甲来了。\n", "会议 (2).txt": "乙也来了。\n", "_a_b.txt": "好。\n"}
    assert errors == [
        [waiting.public_id, "not_ready"],
        [broken.public_id, "no_transcript"],
        [gone.public_id, "expired"],
        [unknown, "not_found"],
        ["nonsense", "not_found"],
    ]


def test_an_archive_of_documents(api: Api, client: Client) -> None:
    jobs = [named(api, f"{name}.mp3", f"{name}来了。") for name in "甲乙"]
    files = files_of(client.export_many([job.public_id for job in jobs], times=False))
    assert {name: shown(content)[2] for name, content in files.items()} == {
        "甲.docx": "甲来了。",
        "乙.docx": "乙来了。",
    }


def test_an_archive_holds_nothing_of_another_tenant(api: Api) -> None:
    theirs, ours = named(api, "a.mp3", "秘密。", tenant="theirs"), named(api, "b.mp3", "好。", tenant="ours")
    _, secret = keys.create(api.database, NewKey("test", "ours", ALL_SCOPES))
    files = files_of(exported(api, theirs.public_id, ours.public_id, secret=secret).content)
    assert set(files) == {"b.txt", "errors.txt"}
    assert files["errors.txt"].decode().startswith(f"{theirs.public_id}\tnot_found\t")
    _, secret = keys.create(api.database, NewKey("test", "theirs", ALL_SCOPES))
    assert files_of(exported(api, theirs.public_id, secret=secret).content) == {"a.txt": "秘密。\n".encode()}


def test_an_archive_breaks_off_if_a_transcript_is_deleted_while_it_is_written(api: Api) -> None:
    whole, broken = named(api, "a.mp3", "好。"), named(api, "b.mp3", *["句。"] * 300)
    archive = Archive(api.database, "default", Format.JSON, SubtitleOptions())
    blocks = archive.blocks([whole.public_id, broken.public_id])
    sent = b""
    while b"b.json" not in sent:
        sent += next(blocks)
    jobs.delete_job(api.database, api.storage, broken.id)
    with pytest.raises(NotFound):
        for block in blocks:
            sent += block
    assert not zipfile.is_zipfile(io.BytesIO(sent))


def test_an_archive_of_nothing_or_too_much_is_refused(api: Api) -> None:
    unknown = ids.shown(ids.JOB, ids.new_id())
    for wrong in ([], [unknown] * (MOST_IDS + 1), ["a\nb"], ["a" * 65]):
        problem_of(exported(api, *wrong), 422, "invalid_request")
    problem_of(exported(api, unknown, format="pdf"), 422, "invalid_request")
    many = [ids.shown(ids.JOB, ids.new_id()) for _ in range(MOST_IDS)]
    assert len(files_of(exported(api, *many).content)["errors.txt"].splitlines()) == MOST_IDS


def test_documents_at_a_terminal(api: Api, tmp_path: Path) -> None:
    job = named(api, "会议.mp3", "甲来了。")
    environment = {
        URL_VARIABLE: f"http://127.0.0.1:{api.port}",
        KEY_VARIABLE: ADMIN_KEY,
        FILE_VARIABLE: str(tmp_path / "none.toml"),
    }

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments), env=environment)
        return result.exit_code, result.output

    assert run("get", job.public_id, "--times") == (0, "[0:00:00] 甲来了。\n")
    assert run("get", job.public_id, "-f", "docx")[0] == 2, "not printed"
    assert run("transcribe", "a.mp3", "-f", "docx")[0] == 2
    assert run("get", job.public_id, "-f", "docx", "-o", str(tmp_path / "a.docx")) == (0, "")
    assert shown((tmp_path / "a.docx").read_bytes())[0] == "会议.mp3"
    assert run("export", job.public_id, "-f", "srt", "-o", str(tmp_path / "all.zip")) == (0, "")
    assert list(files_of((tmp_path / "all.zip").read_bytes())) == ["会议.srt"]


def test_the_service_starts_without_loading_python_docx() -> None:
    code = "import sys, common.transcript.formats; sys.exit('docx' in sys.modules or 'lxml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False, timeout=120).returncode == 0
