"""Sending audio: files, several and folders, links, the microphone; uploads that break off."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest
from playwright.sync_api import Locator, Page, expect

from dev.stack import REPOSITORY
from tests.e2e.console.browser import until
from tests.e2e.console.conftest import Console, NewConsole
from tests.e2e.console.voice import spoken_wav
from tests.e2e.service import Service
from tests.servers import HttpServer

MEETING = REPOSITORY / "samples" / "meeting.mp3"
FILES = "input[data-kind=files]"
FOLDER = "input[data-kind=folder]"


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some seconds of speech."""
    return spoken_wav(tmp_path_factory.mktemp("short"), seconds=8)


def copies(short: Path, place: Path, *names: str) -> list[Path]:
    """The same recording under other names."""
    for name in names:
        (place / name).write_bytes(short.read_bytes())
    return [place / name for name in names]


def card(page: Page, name: str) -> Locator:
    return page.locator("li.job").filter(has_text=name)


def done(page: Page, name: str) -> None:
    expect(card(page, name)).to_contain_text("Completed", timeout=120_000)


def test_a_file_becomes_text(console: Console) -> None:
    page = console.open()
    page.set_input_files(FILES, MEETING)
    done(page, "meeting.mp3")
    card(page, "meeting.mp3").get_by_role("link", name="Open transcript").click()
    [job] = [job for job in console.service.client.get("/v1/transcriptions").json()["data"] if job["tags"] == []][:1]
    sentences = console.service.sentences(job["id"])
    expect(page.locator("main")).to_contain_text(sentences[0]["text"])


def test_several_files_go_with_the_options_that_were_chosen(console: Console, short: Path, tmp_path: Path) -> None:
    page = console.open()
    page.get_by_label("Tags").fill("team，会议")
    page.get_by_label("Split channels").check()
    page.get_by_label("Priority").select_option(label="High")
    page.set_input_files(FILES, copies(short, tmp_path, "one.wav", "two.wav", "三.wav"))
    for name in ("one.wav", "two.wav", "三.wav"):
        done(page, name)
    jobs = console.service.client.get("/v1/transcriptions", params={"tag": "会议"}).json()["data"]
    assert {job["source"]["name"] for job in jobs} == {"one.wav", "two.wav", "三.wav"}
    assert {(job["channels"], job["priority"], tuple(job["tags"])) for job in jobs} == {("split", 8, ("team", "会议"))}
    page.reload()  # options and submitted jobs are remembered
    expect(page.get_by_label("Tags")).to_have_value("team，会议")
    done(page, "two.wav")


def two_tracks(short: Path, target: Path) -> Path:
    """A tone in English, marked as the default, and speech in Chinese."""
    tone = ["-f", "lavfi", "-i", "sine=frequency=300:duration=8"]
    marks = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=chi", "-disposition:a:0", "default"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *tone, "-i", str(short), "-map", "0", "-map", "1"]
    subprocess.run([*command, "-c:a", "aac", *marks, str(target)], check=True, timeout=300)
    return target


def test_the_audio_track_is_chosen_and_all_tracks_are_shown(
    new_console: NewConsole, short: Path, tmp_path: Path
) -> None:
    console = new_console()
    page = console.open()
    page.get_by_role("radio", name="Auto").check()
    page.get_by_label("Audio track").select_option(label="One track…")
    page.get_by_label("Number or language").fill("the second")
    expect(page.get_by_text("Not a track")).to_be_visible()
    page.get_by_label("Number or language").fill("zh")
    expect(page.get_by_text("Not a track")).to_have_count(0)
    page.get_by_label("Segmentation").select_option(label="Call: short turns")
    page.set_input_files(FILES, two_tracks(short, tmp_path / "film.mkv"))
    done(page, "film.mkv")
    found = card(page, "film.mkv")
    expect(found).to_contain_text("The file has other audio tracks")
    expect(found.locator(".tracks li")).to_have_text(
        [re.compile("Track 0 · English · .*not transcribed"), re.compile("Track 1 · .* · transcribed$")]
    )
    (job,) = [
        job
        for job in console.service.client.get("/v1/transcriptions").json()["data"]
        if job["source"]["name"] == "film.mkv"
    ]
    assert (job["channels"], job["audio_track"]) == ("auto", "zh")
    assert job["segmentation"] == job["result"]["segmentation"] == "call"
    chinese = new_console(locale="zh-CN").open(f"#/t/{job['id']}")
    expect(chinese.get_by_role("heading", name="音轨")).to_be_visible()
    expect(chinese.locator(".findings")).to_contain_text("未转写")
    page.get_by_label("Audio track").select_option(label="All tracks, each as a channel")
    page.set_input_files(FILES, two_tracks(short, tmp_path / "both.mkv"))
    done(page, "both.mkv")
    expect(card(page, "both.mkv").locator(".tracks li").filter(has_text="not transcribed")).to_have_count(0)


def test_what_is_no_track_is_refused_and_not_replaced_by_the_default(
    new_console: NewConsole, short: Path, tmp_path: Path
) -> None:
    console = new_console()
    console.complaints.allow("422")
    page = console.open()
    page.get_by_label("Audio track").select_option(label="One track…")
    page.get_by_label("Number or language").fill("the second")
    page.set_input_files(FILES, shutil.copy(short, tmp_path / "refused.wav"))
    expect(card(page, "refused.wav")).to_contain_text("The server did not accept this input.")
    jobs = console.service.client.get("/v1/transcriptions").json()["data"]
    assert "refused.wav" not in [job["source"]["name"] for job in jobs]


def test_of_a_folder_what_is_no_audio_is_left_out(console: Console, short: Path, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    copies(short, tmp_path / "inner", "deep.wav")
    (tmp_path / "notes.txt").write_text("no audio")
    page = console.open()
    page.set_input_files(FOLDER, tmp_path)
    expect(page.locator(".messages")).to_contain_text("1 file skipped")
    done(page, "deep.wav")
    expect(card(page, "notes.txt")).to_have_count(0)


def test_a_file_that_is_no_audio_is_told_in_words(console: Console, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam, " * 100)
    page = console.open()
    page.set_input_files(FILES, tmp_path / "letter.txt")
    expect(card(page, "letter.txt")).to_contain_text("This file is not audio, or it is damaged.", timeout=120_000)
    expect(card(page, "letter.txt")).to_contain_text("Try playing it on your computer.")


def test_dropped_files_are_sent(console: Console, short: Path) -> None:
    page = console.open()
    expect(page.get_by_text("Drop audio or video files here")).to_be_visible()
    page.evaluate(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], 'dropped.wav', { type: 'audio/wav' }));
            for (const kind of ['dragenter', 'dragover', 'drop'])
                document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true }));
        }""",
        list(short.read_bytes()[:200_000]),
    )
    expect(card(page, "dropped.wav")).to_be_visible()


def test_links_are_fetched_and_a_bad_one_stays_in_the_field(
    console: Console, http_server: HttpServer, short: Path, tmp_path: Path
) -> None:
    copies(short, tmp_path / "www", "linked.wav")
    page = console.open()
    page.get_by_role("tab", name="Links").click()
    field = page.get_by_label("Links to audio")
    field.fill(f"{http_server.url('linked.wav')}\nftp://example.com/a.mp3")
    page.get_by_role("button", name="Transcribe 2 links").click()
    expect(field).to_have_value("ftp://example.com/a.mp3")
    expect(page.get_by_role("alert")).to_contain_text("ftp://example.com/a.mp3")
    done(page, "linked.wav")
    field.fill(http_server.url("gone.wav"))
    page.get_by_role("button", name="Transcribe link").click()
    expect(card(page, "gone.wav")).to_contain_text("Nothing was found at this link.", timeout=120_000)


def test_the_microphone_is_recorded_heard_and_sent(console: Console) -> None:
    page = console.open()
    page.get_by_role("tab", name="Microphone").click()
    page.get_by_role("button", name="Start recording").click()
    expect(page.get_by_role("timer")).to_contain_text(re.compile(r"0:(0[4-9]|[1-5]\d)"))
    levels = page.locator(".levels rect").evaluate_all("all => all.map((one) => Number(one.getAttribute('height')))")
    assert max(levels) > 10, "the meter hears nothing"
    page.get_by_role("button", name="Stop").click()
    audio = page.locator("audio")
    until(
        page,
        "document.querySelector('audio')?.duration > 3 && Number.isFinite(document.querySelector('audio').duration)",
    )
    audio.evaluate("audio => audio.play()")
    until(page, "document.querySelector('audio').currentTime > 0.3")
    page.get_by_role("button", name="Submit").click()
    done(page, "Recording")
    job = console.service.client.get("/v1/transcriptions").json()["data"][0]
    assert job["source"]["name"].startswith("Recording")
    assert job["audio_ms"] > 3000
    assert console.service.transcript(job["id"]).json()["text"], "the fake microphone speaks"


def test_a_recording_can_be_thrown_away(console: Console) -> None:
    page = console.open()
    page.get_by_role("tab", name="Microphone").click()
    page.get_by_role("button", name="Start recording").click()
    expect(page.get_by_role("timer")).to_have_text(re.compile("[1-9]$"))  # the first piece was handed over
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    expect(page.locator("li.job")).to_have_count(0)


def slow(page: Page, bytes_per_second: int) -> None:
    """How fast this page may send; -1 is at full speed."""
    client = page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    client.send("Network.enable")
    client.send("Network.emulateNetworkConditions", conditions)


def test_an_upload_goes_on_after_a_reload(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "long way.mp3"
    path.write_bytes(MEETING.read_bytes())
    console.complaints.allow("423")  # until the server has noticed that the first page was closed
    page = console.open()
    page.on("dialog", lambda dialog: dialog.accept())  # "leave the page?"
    slow(page, 150_000)
    page.set_input_files(FILES, path)
    expect(card(page, "long way.mp3")).to_contain_text(re.compile(r"\d+ seconds left"))
    until(page, "document.querySelector('li.job progress')?.value > 300000")
    page.reload()
    expect(card(page, "long way.mp3")).to_contain_text("Choose the same file again")
    slow(page, -1)
    with page.expect_request(lambda request: request.method == "PATCH") as sent:
        page.set_input_files(FILES, path)
    assert int(sent.value.headers["upload-offset"]) > 0, "it began anew"
    done(page, "long way.mp3")
    expect(page.get_by_text("Choose the same file again")).to_have_count(0)


def test_an_upload_can_be_canceled(console: Console, service: Service, tmp_path: Path) -> None:
    path = tmp_path / "unwanted.mp3"
    path.write_bytes(MEETING.read_bytes())
    page = console.open()
    slow(page, 100_000)
    page.set_input_files(FILES, path)
    until(page, "document.querySelector('li.job progress')?.value > 0")
    console.complaints.allow("423")  # until the server has seen that nothing more comes
    with page.expect_response(lambda answer: answer.request.method == "DELETE" and answer.status == 204):
        page.get_by_role("button", name="Cancel upload of unwanted.mp3").click()
    expect(card(page, "unwanted.mp3")).to_have_count(0)
    assert "unwanted.mp3" not in service.client.get("/v1/transcriptions").text
