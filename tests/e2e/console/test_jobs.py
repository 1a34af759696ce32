"""Jobs: live updates, over a reload, while the API is away; the list, the search, actions on a job."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

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
        expect(page.get_by_role("dialog").get_by_role("button")).to_have_text(["Don’t cancel", "Cancel transcription"])
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


def test_rows_are_renamed_tagged_and_explained(console: Console, service: Service) -> None:
    job_id = service.upload(MEETING, tags="plain")
    service.finished(job_id)
    page = console.open("#/jobs?tag=plain")
    line = page.locator("li.line")
    expect(line.locator(".preview")).to_contain_text(service.sentences(job_id)[0]["text"])
    line.get_by_role("button", name="Rename or tag meeting.mp3").click()
    line.get_by_label("Name", exact=True).fill("Board & budget")
    line.get_by_label("Add tags").fill("board，q4")
    page.keyboard.press("Enter")
    expect(line.locator("a.job-name")).to_have_text("Board & budget")
    expect(line.locator("a.tag")).to_have_text(["plain", "board", "q4"])
    line.get_by_role("button", name="Rename or tag").click()
    line.get_by_role("button", name="Remove tag board").click()
    line.get_by_label("Name", exact=True).fill("lost")
    page.keyboard.press("Escape")
    expect(line.locator("a.tag")).to_have_text(["plain", "board", "q4"])
    line.get_by_role("button", name="Details of Board & budget").click()
    details = page.get_by_role("dialog")
    expect(details).to_contain_text("meeting.mp3")
    expect(details).to_contain_text("will be deleted on")
    expect(details.locator(".attempts li")).to_contain_text("completed")
    page.keyboard.press("Escape")
    page.goto(f"{service.url}/#/t/{job_id}")
    expect(page.locator("h1")).to_have_text("Board & budget")
    page.get_by_role("button", name="Rename or tag").click()
    page.get_by_role("dialog").get_by_label("Name", exact=True).fill("")
    page.get_by_role("dialog").get_by_role("button", name="Remove tag board").click()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("meeting.mp3")
    page.go_back()
    expect(line.locator("a.tag")).to_have_text(["plain", "q4"])
    page.get_by_label("Name", exact=True).fill("Meeting")
    expect(line).to_have_count(1)
    page.get_by_label("Sort by").select_option(label="Longest")
    expect(line).to_have_count(1)
    assert page.url.endswith("tag=plain&name=Meeting&sort=longest")


def test_many_rows_are_selected_and_what_fails_is_named(
    console: Console, service: Service, http_server: HttpServer
) -> None:
    console.complaints.allow("404")
    done = service.upload(MEETING, tags="many")
    service.finished(done)
    with frozen_worker(service):
        links = [http_server.url(f"many-{number}.mp3") for number in range(4)]
        batch = service.client.post("/v1/batches", json={"audio_urls": links, "tags": ["many"]}).json()
        canceled = batch["items"][0]["id"]
        service.client.post(f"/v1/transcriptions/{canceled}/cancel").raise_for_status()
        page = console.open("#/jobs?tag=many")
        lines = page.locator("li.line")
        ticks = lines.get_by_role("checkbox")
        expect(lines).to_have_count(5)
        ticks.nth(0).click()
        ticks.nth(2).click(modifiers=["Shift"])
        bar = page.get_by_role("toolbar")
        expect(bar).to_contain_text("3 selected")
        page.keyboard.press("Shift+ArrowDown")
        expect(bar).to_contain_text("4 selected")
        page.keyboard.press("Escape")
        expect(bar).to_contain_text("Select all 5 shown")
        page.keyboard.press("Control+a")
        expect(bar).to_contain_text("5 selected")
        bar.get_by_role("button", name="Retry (1)").click()
        page.get_by_role("dialog").get_by_role("button", name="Retry").click()
        expect(lines.get_by_text("Canceled")).to_have_count(0)
        assert service.job(canceled)["run"] == 2
        bar.get_by_role("button", name="Tag").click()
        page.get_by_role("dialog").get_by_label("Add tags").fill("sorted")
        page.get_by_role("button", name="Save").click()
        expect(lines.locator("a.tag", has_text="sorted")).to_have_count(5)
        bar.get_by_role("button", name="Download (1)").click()
        expect(page.get_by_role("dialog")).to_contain_text("4 selected transcriptions are not completed")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download zip").click()
        with ZipFile(download.value.path()) as archive:
            assert archive.namelist() == ["meeting.docx"]
        ticks.nth(4).click()
        expect(bar).to_contain_text("4 selected")
        lines.nth(0).get_by_role("link", name="Batch").click()
        expect(page.get_by_text("Batch batch_")).to_be_visible()
        expect(lines).to_have_count(4)
    expect(lines.get_by_text("Failed", exact=True)).to_have_count(4, timeout=60_000)
    page.goto(f"{service.url}/#/jobs?tag=many")
    expect(lines).to_have_count(5)
    page.get_by_label("Select all").check()
    bar.get_by_role("button", name="Delete (5)").click()
    failed = service.client.get("/v1/transcriptions", params={"tag": "many", "status": "failed"}).json()["data"]
    service.client.delete(f"/v1/transcriptions/{failed[0]['id']}").raise_for_status()  # by somebody else, meanwhile
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog).to_contain_text("1 of 5 failed")
    expect(dialog.get_by_role("listitem")).to_contain_text(failed[0]["name"])
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_text("No transcripts match these filters")).to_be_visible()
    assert service.client.get("/v1/transcriptions", params={"tag": "many"}).json()["data"] == []


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
