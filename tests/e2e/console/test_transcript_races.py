"""Answers that arrive in another order than the calls: what is shown is what the service has."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from common.jobs import Job
from tests.e2e.console.conftest import Console
from tests.e2e.console.test_transcript_structure import edit
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.service import Service

SPOKEN = spoken(12, 7)
WRITTEN = "这句话是人写的。"
# The page's own module, with a text of its own that is read twice at once.
READ_TWICE = """async (id) => {
  const { Text } = await import(new URL('transcript/text.js', document.querySelector('script[type=module]').src));
  window.text = new Text(id);
  window.first = window.text.load().then(() => window.text.sentences.map(({ text }) => text));
}"""


@pytest.fixture
def job(service: Service) -> Job:
    return put(service.settings, SPOKEN, name="meeting.mp3")


def arrived(page: Page, held: list[Route]) -> Route:
    """The call that is held back; Playwright hands it over while it waits for the page."""
    while not held:
        page.wait_for_timeout(20)
    return held[0]


def test_a_correction_finds_its_sentence_after_another_was_split_before_it(page: Page) -> None:
    held: list[Route] = []
    page.route("**/sentences/6", lambda route: held.append(route))
    edit(page, 6, 0)
    page.get_by_label("Sentence text").fill(WRITTEN)
    with page.expect_request("**/sentences/6"):
        page.keyboard.press("Shift+Enter")
    edit(page, 3, 4)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Sentence split.")).to_be_visible()
    arrived(page, held).continue_()
    expect(page.locator('[data-row="7"] .words').first).to_have_text(WRITTEN)
    expect(page.locator('[data-row="6"] .words').first).to_have_text(SPOKEN[5].text)
    page.reload()
    expect(page.locator('[data-row="7"] .words').first).to_have_text(WRITTEN)
    expect(page.locator('[data-row="6"] .words').first).to_have_text(SPOKEN[5].text)


def test_of_two_reads_the_later_one_is_shown(page: Page, service: Service, job: Job) -> None:
    held: list[Route] = []
    page.route("**/sentences?*", lambda route: held.append(route), times=1)
    with page.expect_request("**/sentences?*"):
        page.evaluate(READ_TWICE, job.public_id)
    first = arrived(page, held)
    old = first.fetch()
    service.client.patch(f"/v1/transcriptions/{job.public_id}/sentences/0", json={"text": WRITTEN}).raise_for_status()
    page.evaluate("window.second = window.text.load()")
    page.evaluate("window.second")
    first.fulfill(response=old)
    *all_of_first, now = page.evaluate("window.first.then((texts) => [...texts, window.text.sentences[0].text])")
    assert all_of_first == [WRITTEN, *(item.text for item in SPOKEN[1:])], "both calls end with the newer text"
    assert now == WRITTEN


def test_a_draft_of_a_sentence_that_is_gone_is_not_lost(
    console: Console, page: Page, service: Service, job: Job
) -> None:
    console.complaints.allow("ERR_FAILED")
    page.route("**/sentences/6", lambda route: route.abort())
    edit(page, 6, 0)
    page.get_by_label("Sentence text").fill(WRITTEN)
    page.keyboard.press("Enter")
    expect(page.locator('[data-row="6"]').get_by_role("alert")).to_contain_text("cannot be reached")
    service.client.post(f"/v1/transcriptions/{job.public_id}/sentences/5/merge", json={}).raise_for_status()
    page.reload()
    notice = page.get_by_role("status").filter(has_text=WRITTEN)
    expect(notice).to_contain_text("merged with another")
    notice.get_by_role("button", name="Discard draft").click()
    expect(notice).to_have_count(0)
    page.reload()
    expect(page.locator('[data-row="5"] .words').first).to_have_text(f"{SPOKEN[5].text}{SPOKEN[6].text}")
    expect(page.get_by_text(WRITTEN)).to_have_count(0)
