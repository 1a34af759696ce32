"""Jobs: live updates, over a reload, while the API is away; the list, the search, actions on a job."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import expect

from dev.process import wait_until
from dev.stack import REPOSITORY
from tests.e2e.console.browser import until
from tests.e2e.console.conftest import Console
from tests.e2e.console.test_submit import FILES, MEETING, card, done, slow
from tests.e2e.console.voice import repeated
from tests.e2e.service import Service
from tests.servers import HttpServer


@contextmanager
def frozen_worker(service: Service) -> Iterator[None]:
    """The worker is suspended, so that its jobs do not change while a test looks at them."""
    pid = service.children["worker"].process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_job_is_followed_over_a_reload_until_its_text_is_there(
    console: Console, service: Service, tmp_path: Path
) -> None:
    page = console.open()
    with frozen_worker(service):
        page.set_input_files(FILES, repeated(tmp_path, 3))
        mine = card(page, "long meeting.mp3")
        expect(mine).to_contain_text("Queued")
        expect(mine).to_contain_text("number 1 in the queue")
        page.reload()
        expect(mine).to_contain_text("Queued")
    growing = mine.get_by_role("log")
    expect(growing).to_contain_text("。")
    with frozen_worker(service):
        page.reload()
        expect(mine).to_contain_text("Transcribing")
        expect(growing).to_contain_text("。")
        assert mine.locator("progress").evaluate("bar => bar.value") < 1
    done(page, "long meeting.mp3")
    expect(growing).to_have_count(0)


def test_the_api_goes_and_comes_back_and_the_page_goes_on(console: Console, service: Service, tmp_path: Path) -> None:
    for text in ("ERR_CONNECTION", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "503", "423"):
        console.complaints.allow(text)
    uploading = tmp_path / "uploading.mp3"
    uploading.write_bytes(MEETING.read_bytes())
    page = console.open()
    with frozen_worker(service):
        page.set_input_files(FILES, MEETING)
        expect(card(page, "meeting.mp3")).to_contain_text("number 1")
        slow(page, 150_000)
        page.set_input_files(FILES, uploading)
        until(page, "document.querySelector('li.job progress')?.value > 200000")
        service.children["api"].stop(20)
        expect(page.get_by_text("Connection lost.")).to_be_visible()
        page.get_by_role("link", name="Search").click()  # the page itself needs no server
        page.get_by_role("link", name="Transcribe").click()
        slow(page, -1)
        child = service.start("api", "api.main")
        wait_until(service._serves, [child], 60, "the API did not come back")
        expect(page.get_by_text("Connection lost.")).to_have_count(0)
    done(page, "meeting.mp3")
    done(page, "uploading.mp3")


def test_the_list_is_narrowed_paged_and_moves(console: Console, service: Service, http_server: HttpServer) -> None:
    links = [http_server.url(f"gone-{number}.mp3") for number in range(28)]
    with frozen_worker(service):
        service.client.post("/v1/batches", json={"audio_urls": links, "tags": ["paged"]}).raise_for_status()
        page = console.open("#/jobs?tag=paged")
        lines = page.locator("li.line")
        expect(lines).to_have_count(25)
        page.get_by_role("button", name="Show more").click()
        expect(lines).to_have_count(28)
        page.get_by_label("Status").select_option(label="Failed")
        expect(page.get_by_text("No transcripts match these filters")).to_be_visible()
        assert page.url.endswith("status=failed&tag=paged")
    expect(lines.first).to_contain_text("Nothing was found at this link.", timeout=60_000)  # without a reload
    page.get_by_label("From").fill("2200-01-01")
    expect(page.get_by_text("No transcripts match these filters")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(lines.first).to_be_visible()
    assert page.url.endswith("#/jobs")


def test_a_job_is_canceled_retried_and_deleted(console: Console, service: Service, tmp_path: Path) -> None:
    path = tmp_path / "fate.mp3"
    path.write_bytes(MEETING.read_bytes())
    with frozen_worker(service):
        service.upload(path, tags="fate")
        page = console.open("#/jobs?tag=fate")
        line = page.locator("li.line")
        line.get_by_role("button", name="Cancel fate.mp3").click()
        expect(page.get_by_role("button", name="Cancel transcription")).to_be_visible()
        page.keyboard.press("Escape")  # not yet
        expect(page.get_by_role("dialog")).to_have_count(0)
        line.get_by_role("button", name="Cancel fate.mp3").click()
        page.get_by_role("button", name="Cancel transcription").click()
        expect(line).to_contain_text("Canceled")
    line.get_by_role("button", name="Retry fate.mp3").click()
    expect(line).to_contain_text("Completed", timeout=120_000)
    line.get_by_role("button", name="Delete fate.mp3").click()
    expect(page.get_by_role("dialog")).to_contain_text("permanently deleted")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(line).to_have_count(0)
    assert service.client.get("/v1/transcriptions", params={"tag": "fate"}).json()["data"] == []


def test_a_hit_leads_to_its_place_in_the_transcript(console: Console, service: Service) -> None:
    job_id = service.upload(REPOSITORY / "samples" / "meeting.mp3", tags="found")
    service.finished(job_id)
    sentence = service.sentences(job_id)[5]
    words = sentence["text"][2:6]
    page = console.open("#/search")
    page.get_by_role("searchbox").fill(words)
    hit = page.locator(f"a.hit[href='#/t/{job_id}?at={sentence['start_ms']}']")
    expect(hit).to_contain_text(sentence["text"])
    expect(hit.locator("mark").first).to_have_text(words)
    hit.click()
    expect(page.locator("main")).to_contain_text(sentence["text"])
    page.go_back()
    expect(hit).to_be_visible()
    page.get_by_role("searchbox").fill("不存在的词语")
    expect(page.get_by_text("No results")).to_be_visible()


def test_links_sent_together_are_one_card_and_none_vanishes(
    console: Console, service: Service, http_server: HttpServer
) -> None:
    links = [http_server.url(f"batch-{number}.mp3") for number in range(14)]
    with frozen_worker(service):
        page = console.open()
        page.get_by_role("tab", name="Links").click()
        page.get_by_label("Links to audio").fill("\n".join(links))
        page.get_by_role("button", name="Transcribe 14 links").click()
        batch = page.locator("li.batch")
        expect(batch).to_contain_text("14 recordings")
        expect(batch).to_contain_text("0 of 14 completed")
        expect(batch.locator("li")).to_have_count(6)
        batch.get_by_role("button", name="Show all 14").click()
        expect(batch.locator("li")).to_have_count(14)
        for number in range(13):  # more than the number of ended jobs that are kept
            page.get_by_label("Links to audio").fill(http_server.url(f"single-{number}.mp3"))
            page.get_by_role("button", name="Transcribe link").click()
            expect(page.locator("li.job").filter(has_text=f"single-{number}.mp3")).to_be_visible()
        page.reload()
        expect(page.locator("li.batch")).to_contain_text("0 of 14 completed")
        expect(page.locator("li.job:not(.batch)")).to_have_count(13)
    expect(page.locator("li.batch")).to_contain_text("14 failed")


def test_the_demo_model_is_said_to_understand_no_people(console: Console) -> None:
    page = console.open()
    expect(page.get_by_role("note")).to_contain_text("only understands synthetic speech")
    expect(page.get_by_role("note").locator("code")).to_have_text("PARAQUEUE_MODEL=paraformer-large-zh make run")
