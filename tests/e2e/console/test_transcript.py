"""The transcript beside its recording: playing from a word, finding, downloading, growing while the job runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from common import jobs
from common.db import Database
from common.job_states import Status
from common.jobs import Finished, Job
from common.transcript.values import Part
from tests.db.job_cases import claimed, execute, fail, submitted
from tests.e2e.console.conftest import PATIENCE_MS, PHONE, Console, NewConsole
from tests.e2e.console.transcripts import MODEL, put, sentence, spoken
from tests.e2e.console.voice import MEETING, spoken_wav
from tests.e2e.service import Service

SPOKEN = spoken(80, 1)
# Which sentences were ever marked as spoken: a busy machine is late to look, and the recording plays on.
SPOKEN_ROWS = """() => {
  window.spokenRows = new Set();
  new MutationObserver(() => {
    for (const row of document.querySelectorAll('.sentence.spoken')) window.spokenRows.add(row.dataset.row);
  }).observe(document.querySelector('.long'), { subtree: true, attributeFilter: ['class'] });
}"""


@pytest.fixture(scope="module")
def job(service: Service) -> Job:
    return put(service.settings, SPOKEN, MEETING, name="季度会议.mp3")


@pytest.fixture
def page(console: Console, job: Job) -> Page:
    return opened(console, job)


def opened(console: Console, job: Job, more: str = "") -> Page:
    """The transcript with its waveform, which the light worker has made by then."""
    page = console.open(f"#/t/{job.public_id}{more}")
    expect(page.locator(".drawn")).to_be_visible(timeout=PATIENCE_MS)
    page.locator("[data-row]").first.wait_for()
    return page


def playing_ms(page: Page) -> float:
    """Where the recording plays; it has to play."""
    page.wait_for_function("() => { const a = document.querySelector('audio'); return !a.paused && !a.seeking; }")
    return float(page.evaluate("document.querySelector('audio').currentTime * 1000"))


def test_a_click_on_a_word_plays_from_there(console: Console, job: Job) -> None:
    requests: list[str] = []
    console.page.on("request", lambda request: requests.append(f"{request.headers.get('range')} {request.url}"))
    page = opened(console, job)
    page.evaluate(SPOKEN_ROWS)
    for row, word in ((3, 2), (30, 4)):
        at = page.locator(f'[data-row="{row}"] [data-word="{word}"]')
        at.scroll_into_view_if_needed()
        page.evaluate(
            "document.querySelector('audio').addEventListener('seeked', (e) => window.at = e.target.currentTime)"
        )
        at.click()
        playing_ms(page)
        # Where it went, not where it is by now: a busy machine is late to look.
        went_ms = float(page.evaluate("window.at")) * 1000
        assert abs(went_ms - SPOKEN[row].words[word].start_ms) < 300
        page.wait_for_function("(row) => window.spokenRows.has(row)", arg=str(row))
    page.wait_for_function("() => window.spokenRows.has('31')")
    page.wait_for_function("() => document.querySelector('.sentence.spoken .words .spoken')")
    page.keyboard.press("k")
    assert page.evaluate("document.querySelector('audio').paused")
    audio = [request for request in requests if "/audio" in request]
    assert audio, "never the whole recording at once"
    assert all(request.startswith("bytes=") for request in audio), "never the whole recording at once"
    assert any("/peaks" in request for request in requests)


def test_what_the_worker_heard_is_played_where_it_was_said(console: Console, service: Service, tmp_path: Path) -> None:
    """The whole way: uploaded, transcribed, and a word of the machine's own clicked."""
    job_id = service.upload(spoken_wav(tmp_path))
    service.finished(job_id)
    sentences = service.sentences(job_id)
    number = len(sentences) - 1
    words = sentences[number]["words"]
    page = console.open(f"#/t/{job_id}")
    expect(page.locator(".drawn")).to_be_visible(timeout=PATIENCE_MS)
    page.evaluate("document.querySelector('audio').addEventListener('seeked', (e) => window.at = e.target.currentTime)")
    place = len(words) // 2
    page.locator(f'[data-row="{number}"] [data-word="{place}"]').click()
    playing_ms(page)
    assert abs(float(page.evaluate("window.at")) * 1000 - words[place]["start_ms"]) < 300


def test_a_click_on_the_waveform_and_the_keys(page: Page) -> None:
    box = page.locator(".waveform").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    at = "document.querySelector('audio').currentTime"
    assert abs(float(page.evaluate(at)) - 227.7 / 2) < 5
    before = float(page.evaluate(at))
    page.locator("h1").click()
    page.keyboard.press("l")
    assert abs(float(page.evaluate(at)) - before - 5) < 0.2
    page.keyboard.press(">")
    assert page.evaluate("document.querySelector('audio').playbackRate") == 1.25
    page.get_by_label("Playback speed").select_option("2")
    assert page.evaluate("document.querySelector('audio').playbackRate") == 2
    page.keyboard.press("Tab")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Play or pause")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_volume_and_skipped_pauses_are_remembered(console: Console, service: Service) -> None:
    # Two sentences that are three minutes apart.
    apart = put(service.settings, [sentence("前面", 1_000), sentence("后面", 200_000)], MEETING, name="pauses.mp3")
    page = opened(console, apart)
    page.get_by_label("Volume").fill("0.5")
    page.get_by_role("button", name="Mute", exact=True).click()
    audio = "document.querySelector('audio')"
    assert page.evaluate(f"[{audio}.muted, {audio}.volume]") == [True, 0.5]
    page.get_by_label("Skip pauses").check()
    page.locator('[data-row="0"] [data-word="0"]').click()
    page.wait_for_function("() => document.querySelector('audio').currentTime > 199")
    page.reload()
    expect(page.get_by_label("Skip pauses")).to_be_checked()
    expect(page.get_by_label("Volume")).to_have_value("0.5")


def test_what_is_spoken_stays_in_sight_until_somebody_scrolls(page: Page) -> None:
    page.get_by_label("Playback speed").select_option("3")
    page.locator('[data-row="0"] .when').click()
    page.mouse.move(600, 700)
    page.wait_for_function("() => scrollY > 200")  # automatically
    spoken_row = page.locator(".sentence.spoken")
    expect(spoken_row).to_be_in_viewport()
    page.mouse.wheel(0, 2500)
    back = page.get_by_role("button", name="Follow playback")
    back.click()
    expect(spoken_row).to_be_in_viewport()
    expect(back).to_have_count(0)


def test_an_address_names_a_place(new_console: NewConsole, job: Job) -> None:
    page = opened(new_console(), job, "?s=60")
    expect(page.locator('[data-row="60"]')).to_be_focused()
    expect(page.locator('[data-row="60"]')).to_be_in_viewport()
    assert abs(float(page.evaluate("document.querySelector('audio').currentTime * 1000")) - SPOKEN[60].start_ms) < 300
    page = opened(new_console(), job, f"?at={SPOKEN[70].start_ms + 50}")
    expect(page.locator('[data-row="70"]')).to_be_focused()


def test_finding_words(page: Page) -> None:
    hits = sum(item.text.lower().count("gpu") for item in SPOKEN)
    assert hits > 3
    page.keyboard.press("Control+f")
    page.get_by_label("Find in transcript").fill("ｇｐｕ")
    expect(page.locator(".find-count")).to_have_text(f"1 of {hits}")
    for place in (2, 3):
        page.keyboard.press("Enter")
        expect(page.locator(".find-count")).to_have_text(f"{place} of {hits}")
        expect(page.locator("mark.chosen")).to_have_text("GPU")
        expect(page.locator("mark.chosen")).to_be_in_viewport()
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".find-count")).to_have_text(f"2 of {hits}")
    page.get_by_label("Find in transcript").fill("没有这个词")
    expect(page.locator(".find-count")).to_have_text("No matches")
    page.keyboard.press("Escape")
    expect(page.locator("mark")).to_have_count(0)
    expect(page.locator(":focus")).to_have_class(re.compile("sentence"))


def test_copies_and_downloads(new_console: NewConsole, job: Job) -> None:
    page = opened(new_console(permissions=["clipboard-read", "clipboard-write"]), job)
    page.get_by_role("button", name="Copy all").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").splitlines() == [item.text for item in SPOKEN]
    page.get_by_label("With times").check()
    page.get_by_role("button", name="Copy all").click()
    page.wait_for_function("() => navigator.clipboard.readText().then((is) => is.startsWith('[0:00] '))")
    with page.expect_download() as download:
        page.locator(".downloads").get_by_role("link", name="txt", exact=True).click()
    assert re.match(r"\[?0*:?0*0:00", download.value.path().read_text())
    page.get_by_label("With times").uncheck()
    row = page.locator('[data-row="2"]')
    row.hover()
    row.get_by_role("button", name="Copy sentence").click()
    page.wait_for_function("(text) => navigator.clipboard.readText().then((is) => is === text)", arg=SPOKEN[2].text)
    for form, begins in (("txt", SPOKEN[0].text), ("srt", "1\n00:00:00,"), ("vtt", "WEBVTT"), ("json", "{")):
        with page.expect_download() as download:
            page.locator(".downloads").get_by_role("link", name=form, exact=True).click()
        assert download.value.suggested_filename == f"季度会议.{form}"
        content = download.value.path().read_text()
        assert content.startswith(begins)
        if form == "json":
            assert len(json.loads(content)["sentences"]) == len(SPOKEN)


def test_unsure_words_and_channels_have_their_colours(console: Console, service: Service) -> None:
    sentences = [sentence("甲乙丙丁", 0, low=2), sentence("一二三四", 1000, channel=1)]
    page = opened(console, put(service.settings, sentences, MEETING, name="call.mp3"))
    expect(page.locator(".words .unsure")).to_have_text(["丙"])
    colours = page.locator(".sentence").evaluate_all("all => all.map((row) => getComputedStyle(row).borderLeftColor)")
    assert len(set(colours)) == 2
    expect(page.locator(".channel-name")).to_have_text(["Channel 1", "Channel 2"])
    page.get_by_label("Highlight words with confidence below").fill("0.25")
    expect(page.locator(".words .unsure")).to_have_count(0)
    page.reload()
    expect(page.locator(".words .unsure")).to_have_count(0)
    expect(page.locator(".words")).to_have_count(2)


def test_the_text_grows_while_the_job_runs(console: Console, service: Service) -> None:
    database = Database(service.settings.sqlalchemy_url, 2)
    try:
        held = claimed(database, submitted(database, model=MODEL, name="live.mp3"))
        page = console.open(f"#/t/{held.job.public_id}")
        expect(page.get_by_text("Text will appear here as it is transcribed.")).to_be_visible()
        first, second = tuple(SPOKEN[:5]), tuple(SPOKEN[5:9])
        jobs.commit_part(database, held, Part(0, 0, 12_000, first, b"x"), first_sentence=0)
        expect(page.locator(".sentence")).to_have_count(5)
        expect(page.get_by_role("feed")).to_have_attribute("aria-busy", "true")
        done = Finished("demo-zh", "r1", "fp32", 1, 20_000, 500, no_speech=False)
        console.complaints.allow("410")  # there is no recording
        jobs.complete(database, held, Part(1, 12_000, 20_000, second, b"", True), done, first_sentence=5, stage_ms={})
        expect(page.locator(".sentence")).to_have_count(9)
        expect(page.get_by_role("feed")).to_have_attribute("aria-busy", "false")
        expect(page.locator('[data-row="8"] .words')).to_have_text(SPOKEN[8].text)
    finally:
        database.close()


def test_a_browser_that_cannot_play_the_recording_does_not_blame_the_file(console: Console, job: Job) -> None:
    console.page.route(
        f"**/{job.public_id}/audio",
        lambda route: route.fulfill(status=200, content_type="audio/wav", body=b"RIFF of another kind"),
    )
    page = console.open(f"#/t/{job.public_id}")
    expect(page.get_by_text("This browser cannot play the recording.")).to_be_visible()
    expect(page.locator("[data-row]").first).to_be_visible()


def test_what_has_no_text_is_said_in_words(console: Console, service: Service) -> None:
    database = Database(service.settings.sqlalchemy_url, 2)
    try:
        silent = put(service.settings, [], MEETING, name="silence.mp3")
        page = console.open(f"#/t/{silent.public_id}")
        expect(page.get_by_text("No speech detected.")).to_be_visible()
        held = claimed(database, submitted(database, model=MODEL, name="broken.mp3"))
        fail(database, held)
        assert jobs.get(database, held.job.id).status is Status.FAILED
        console.open(f"#/t/{held.job.public_id}")
        expect(page.get_by_role("alert")).to_contain_text("The file is empty.")
        console.complaints.allow("410")
        old = put(service.settings, SPOKEN[:3], name="old.mp3")
        execute(database, "UPDATE jobs SET result_deleted_at = now() WHERE id = :id", id=old.id)
        console.open(f"#/t/{old.public_id}")
        expect(page.get_by_role("alert")).to_contain_text("deleted")
    finally:
        database.close()


def test_on_a_phone_nothing_is_wider_than_the_screen(new_console: NewConsole, job: Job) -> None:
    page = opened(new_console(viewport=PHONE, has_touch=True), job)
    page.locator('[data-row="2"] [data-word="1"]').tap()
    assert playing_ms(page) >= SPOKEN[2].words[1].start_ms - 300
    page.locator('[data-row="2"]').get_by_role("button", name="Edit sentence").tap()
    expect(page.get_by_label("Sentence text")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_recording_that_is_deleted_meanwhile_is_said_and_the_text_stays(console: Console, service: Service) -> None:
    job = put(service.settings, SPOKEN[:5], MEETING, name="deleted.mp3")
    page = opened(console, job)
    database = Database(service.settings.sqlalchemy_url, 1)
    try:
        execute(database, "UPDATE jobs SET audio_key = NULL, audio_deleted_at = now() WHERE id = :id", id=job.id)
    finally:
        database.close()
    console.complaints.allow("410")
    # As the browser does where it gets no more of the recording; how much it has by then differs.
    page.evaluate("document.querySelector('audio').dispatchEvent(new Event('error'))")
    expect(page.get_by_text("The audio has expired and was deleted.")).to_be_visible()
    expect(page.locator(".sentence")).to_have_count(5)
