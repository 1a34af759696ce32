"""Undoing corrections in the console: it never overwrites what another person wrote meanwhile."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from common.jobs import Job
from tests.e2e.console.conftest import Console
from tests.e2e.console.scrolling import SENTENCES
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.service import Service

ONE_CALL = 5000  # corrections that the API takes at once
SPOKEN = spoken(20, 11)


@pytest.fixture
def job(service: Service) -> Job:
    return put(service.settings, SPOKEN, name="undone.mp3")


@pytest.fixture
def page(console: Console, job: Job) -> Page:
    console.complaints.allow("410")  # these have no recording
    console.complaints.allow("409")
    page = console.open(f"#/t/{job.public_id}")
    expect(page.locator('[data-row="0"]')).to_be_visible()
    return page


def correct(page: Page, number: int, written: str) -> None:
    page.locator(f'[data-row="{number}"]').focus()
    page.keyboard.press("e")
    page.get_by_label("Sentence text").fill(written)
    page.keyboard.press("Shift+Enter")
    expect(page.locator(f'[data-row="{number}"] .words').first).to_have_text(written)


def lines(service: Service, job: Job) -> list[str]:
    path = f"/v1/transcriptions/{job.public_id}/transcript"
    return service.client.get(path, params={"format": "txt"}).text.splitlines()


def test_what_another_has_written_since_is_not_overwritten(page: Page, service: Service, job: Job) -> None:
    row = page.locator('[data-row="3"]')
    correct(page, 3, "我的。")
    path = f"/v1/transcriptions/{job.public_id}/sentences/3"
    assert service.client.patch(path, json={"text": "别人的。"}).status_code == 200
    page.keyboard.press("Control+z")
    expect(page.get_by_text("This sentence has changed since it was read.")).to_be_visible()
    expect(row.locator(".words").first).to_have_text("别人的。")
    page.keyboard.press("Control+z")  # the page knows by now what stands there
    expect(page.get_by_text("has been changed by somebody else since")).to_be_visible()
    assert lines(service, job)[3] == "别人的。"
    correct(page, 4, "还是我的。")
    page.keyboard.press("Control+z")
    expect(page.locator('[data-row="4"] .words').first).to_have_text(SPOKEN[4].text)


def test_a_conflict_whose_text_cannot_be_read_is_told(console: Console, page: Page, service: Service, job: Job) -> None:
    console.complaints.allow("500")
    path = f"/v1/transcriptions/{job.public_id}/sentences/3"

    def refuse_reading(route: Route) -> None:
        if route.request.method == "GET":
            route.fulfill(status=500, json={"code": "internal", "detail": "broken"})
        else:
            route.continue_()

    page.route("**/sentences/3", refuse_reading)
    page.locator('[data-row="3"]').focus()
    page.keyboard.press("e")
    page.get_by_label("Sentence text").fill("我的。")
    assert service.client.patch(path, json={"text": "别人的。"}).status_code == 200
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator('[data-row="3"]').get_by_role("alert")).to_contain_text("Something went wrong")
    page.unroute("**/sentences/3")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator('[data-row="3"]').get_by_role("alert")).to_contain_text("别人的。")


def test_thousands_of_replacements_are_undone_together(console: Console, service: Service) -> None:
    """More than one call takes; the second one fails at first, because somebody else was there."""
    console.complaints.allow("410")
    console.complaints.allow("409")
    job = put(service.settings, spoken(SENTENCES, 5), name="replaced.mp3")
    page = console.open(f"#/t/{job.public_id}")
    page.locator(f'[aria-setsize="{SENTENCES}"]').first.wait_for()
    page.keyboard.press("Control+h")
    page.get_by_label("Find in transcript").fill("。")
    expect(page.locator(".find-count")).to_contain_text(f"of {SENTENCES}")
    page.get_by_label("Replace with").fill("！")
    path = f"/v1/transcriptions/{job.public_id}/sentences/{SENTENCES - 1}"
    assert service.client.patch(path, json={"text": "别人的。"}).status_code == 200
    before = lines(service, job)

    held: list[Route] = []
    page.route("**/sentences?after=999&*", lambda route: held.append(route))
    with page.expect_request("**/sentences?after=999&*"):  # the text is read again
        page.get_by_role("button", name="Replace all").click()
    expect(page.locator(f'[aria-setsize="{SENTENCES}"]').first).to_be_visible()
    for route in held:
        route.continue_()
    page.unroute("**/sentences?after=999&*")
    expect(page.get_by_text(f"Only {ONE_CALL} of {SENTENCES} sentences were changed.")).to_be_visible()
    assert "\n".join(lines(service, job)).count("！") == ONE_CALL
    page.locator('[data-row="0"]').focus()
    page.keyboard.press("Control+z")
    expect(page.get_by_text("Replacements undone.")).to_be_visible()
    assert lines(service, job) == before

    page.get_by_role("button", name="Replace all").click()
    expect(page.get_by_text(f"{SENTENCES} matches replaced.")).to_be_visible()
    assert "\n".join(lines(service, job)).count("！") == SENTENCES
    page.get_by_role("button", name=f"Undo {SENTENCES} replacements").click()
    expect(page.locator(".find-count")).to_contain_text(f"of {SENTENCES}")
    assert lines(service, job) == before
