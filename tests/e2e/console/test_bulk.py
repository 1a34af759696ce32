"""What is done with many jobs can be stopped, and what an archive does not have is named."""

from __future__ import annotations

from zipfile import ZipFile

from playwright.sync_api import Route, expect

from tests.e2e.console.conftest import Console
from tests.e2e.console.test_jobs import frozen_worker
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.service import Service


def test_stopping_leaves_what_has_not_been_begun(console: Console, service: Service) -> None:
    console.complaints.allow("404")  # the page may ask for a job at the moment when it is deleted
    links = [f"http://127.0.0.1:9/stopped-{number}.mp3" for number in range(10)]
    with frozen_worker(service):
        service.client.post("/v1/batches", json={"audio_urls": links, "tags": ["stopped"]}).raise_for_status()
        page = console.open("#/jobs?tag=stopped")
        rows = page.locator("li.line")
        expect(rows).to_have_count(10)
        page.get_by_label("Select all 10").check()
        page.get_by_role("button", name="Delete (10)").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("button")).to_have_text(["Cancel", "Delete"])
        held: list[Route] = []
        page.route("**/v1/transcriptions/tr_*", lambda route: held.append(route))
        with page.expect_request(lambda request: request.method == "DELETE"):
            dialog.get_by_role("button", name="Delete").click()
        expect(dialog.get_by_role("button", name="Cancel")).to_have_count(0)
        dialog.get_by_role("button", name="Stop").click()
        for route in held:
            route.continue_()
        page.unroute("**/v1/transcriptions/tr_*")
        expect(page.get_by_text("of 10 done; the others are unchanged.")).to_be_visible()
        expect(dialog).to_have_count(0)
        deleted = len(held)
        assert 1 <= deleted <= 4
        expect(rows).to_have_count(10 - deleted)
        left = service.client.get("/v1/transcriptions", params={"tag": "stopped"}).json()["data"]
        assert len(left) == 10 - deleted
        for row in left:
            service.client.delete(f"/v1/transcriptions/{row['id']}").raise_for_status()


def test_what_an_archive_does_not_have_is_named(console: Console, service: Service) -> None:
    kept, gone = (put(service.settings, spoken(3, 1), name=name, tags=["zip"]) for name in ("kept.mp3", "gone.mp3"))
    page = console.open("#/jobs?tag=zip")
    page.get_by_label("Select all 2").check()
    page.get_by_role("button", name="Download (2)").click()
    service.client.delete(f"/v1/transcriptions/{gone.public_id}").raise_for_status()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download zip").click()
    with ZipFile(download.value.path()) as archive:
        assert archive.namelist() == ["kept.docx", "errors.txt"]
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 of 2 transcripts are not in the archive")
    expect(dialog.get_by_role("listitem")).to_have_text("gone.mp3: It does not exist, or it has been deleted.")
    assert service.job(kept.public_id)["status"] == "completed"
