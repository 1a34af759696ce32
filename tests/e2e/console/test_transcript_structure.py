"""Splitting and merging sentences in the console."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from common.jobs import Job
from common.transcript.sentence_numbers import number_at
from tests.e2e.console.conftest import Console
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.service import Service

SPOKEN = spoken(12, 7)
HEARD = SPOKEN[3].text
CUT = 4
LEFT, RIGHT = HEARD[:CUT], HEARD[CUT:]
SECOND = number_at(3, CUT)


@pytest.fixture
def job(service: Service) -> Job:
    return put(service.settings, SPOKEN, name="meeting.mp3")


def lines(service: Service, job: Job) -> list[str]:
    answer = service.client.get(f"/v1/transcriptions/{job.public_id}/transcript", params={"format": "txt"})
    return answer.text.splitlines()


def edit(page: Page, number: int, cursor: int) -> None:
    page.locator(f'[data-row="{number}"]').focus()
    page.keyboard.press("e")
    field = page.get_by_label("Sentence text")
    expect(field).to_be_focused()
    field.evaluate("(area, at) => area.setSelectionRange(at, at)", cursor)


def test_split_at_the_cursor_and_undone(page: Page, service: Service, job: Job) -> None:
    before = lines(service, job)
    edit(page, 3, CUT)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Sentence split.")).to_be_visible()
    field = page.get_by_label("Sentence text")
    expect(field).to_have_value(RIGHT)
    expect(field).to_be_focused()
    expect(page.locator('[data-row="3"] .words')).to_have_text(LEFT)
    expect(page.locator('[data-row="5"] .words')).to_have_text(SPOKEN[4].text)
    expect(page.locator('[data-row="5"]')).to_have_attribute("aria-setsize", "13")
    assert lines(service, job)[3:5] == [LEFT, RIGHT]
    # What is typed at once goes into the second sentence.
    page.keyboard.type("新")
    page.keyboard.press("Shift+Enter")
    expect(page.locator('[data-row="4"] .words')).to_have_text(f"新{RIGHT}")
    assert lines(service, job)[4] == f"新{RIGHT}"
    page.goto(page.url.split("?")[0] + f"?s={SECOND}")
    page.reload()
    expect(page.locator('[data-row="4"]')).to_be_focused()
    page.keyboard.press("e")
    page.get_by_label("Sentence text").fill(RIGHT)
    page.keyboard.press("Shift+Enter")
    expect(page.locator('[data-row="4"] .words')).to_have_text(RIGHT)
    edit(page, 3, 0)
    page.get_by_role("button", name="History").click()
    expect(page.locator(".history li").first).to_contain_text("split")
    page.locator(".history").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Split or merge undone.")).to_be_visible()
    expect(page.locator('[data-row="4"] .words')).to_have_text(SPOKEN[4].text)
    assert lines(service, job) == before


def test_backspace_merges_with_the_sentence_before_and_saves_what_was_typed(
    page: Page, service: Service, job: Job
) -> None:
    edit(page, 4, 0)
    page.keyboard.press("End")
    page.keyboard.type("再")
    page.keyboard.press("Home")
    page.keyboard.press("Backspace")
    field = page.get_by_label("Sentence text")
    merged = f"{HEARD}{SPOKEN[4].text}再"
    expect(field).to_have_value(merged)
    assert field.evaluate("(area) => area.selectionStart") == len(HEARD)
    assert lines(service, job)[3:5] == [merged, SPOKEN[5].text]
    page.keyboard.press("Escape")
    expect(page.locator('[data-row="3"]')).to_be_focused()
    page.keyboard.press("Control+z")
    expect(page.get_by_text("Split or merge undone.")).to_be_visible()
    expect(page.locator('[data-row="4"] .words')).to_have_text(f"{SPOKEN[4].text}再")
    page.keyboard.press("Control+z")
    expect(page.locator('[data-row="4"] .words')).to_have_text(SPOKEN[4].text)
    assert lines(service, job)[3:5] == [HEARD, SPOKEN[4].text]


def test_the_buttons_and_a_draft_next_door(console: Console, page: Page) -> None:
    console.complaints.allow("ERR_FAILED")
    page.route("**/sentences/6", lambda route: route.abort())
    edit(page, 6, 0)
    page.get_by_label("Sentence text").fill("没有保存。")
    page.keyboard.press("Enter")
    expect(page.locator('[data-row="6"]').get_by_role("alert")).to_contain_text("cannot be reached")
    page.unroute("**/sentences/6")
    page.reload()
    expect(page.locator('[data-row="6"]')).to_contain_text("Unsaved draft")
    merge(page, 5)
    expect(page.get_by_text("One of the sentences has an unsaved draft")).to_be_visible()
    merge(page, 7)
    expect(page.locator('[data-row="7"] .words')).to_have_text(f"{SPOKEN[7].text}{SPOKEN[8].text}")
    expect(page.locator('[data-row="8"] .words')).to_have_text(SPOKEN[9].text)
    expect(page.locator('[data-row="6"]')).to_contain_text("Unsaved draft")
    # From the editor, at the cursor.
    edit(page, 7, len(SPOKEN[7].text))
    page.get_by_role("button", name="Split here").click()
    expect(page.locator('[data-row="7"] .words')).to_have_text(SPOKEN[7].text)
    expect(page.get_by_label("Sentence text")).to_have_value(SPOKEN[8].text)
    page.get_by_role("button", name="Merge with next", exact=True).click()
    expect(page.get_by_label("Sentence text")).to_have_value(f"{SPOKEN[8].text}{SPOKEN[9].text}")


def merge(page: Page, number: int) -> None:
    row = page.locator(f'[data-row="{number}"]')
    row.hover()
    row.get_by_role("button", name="Merge with next sentence").click()


def test_somebody_else_was_faster(console: Console, page: Page, service: Service, job: Job) -> None:
    console.complaints.allow("409")
    path = f"/v1/transcriptions/{job.public_id}/sentences/3"
    assert service.client.post(f"{path}/split", json={"at_word": 2}).status_code == 200
    edit(page, 3, CUT)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_label("Sentence text")).to_have_value(HEARD[:2])
    expect(page.locator('[data-row="4"] .words')).to_have_text(HEARD[2:])
    assert lines(service, job)[3:5] == [HEARD[:2], HEARD[2:]]


def test_an_undone_split_keeps_what_was_corrected_since(page: Page, service: Service, job: Job) -> None:
    path = f"/v1/transcriptions/{job.public_id}/sentences"
    for number, text in ((3, f"改{HEARD}"), (SECOND, f"{RIGHT}后来")):
        if number == SECOND:
            assert service.client.post(f"{path}/3/split", json={"at_word": CUT}).status_code == 200
        assert service.client.patch(f"{path}/{number}", json={"text": text}).status_code == 200
    page.reload()
    edit(page, 3, 0)
    page.get_by_role("button", name="History").click()
    page.locator(".history").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Split or merge undone.")).to_be_visible()
    assert lines(service, job)[3:5] == [f"改{HEARD}后来", SPOKEN[4].text]
