"""Correcting sentences in the console, with the mouse and without."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from common.jobs import Job
from common.keys import Scope
from tests.e2e.console.conftest import Console, NewConsole
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.service import Service

SPOKEN = spoken(30, 7)
HEARD = SPOKEN[3].text
WRITTEN = "这句话是人写的，并且更长。"


@pytest.fixture
def job(service: Service) -> Job:
    return put(service.settings, SPOKEN, name="meeting.mp3")


def text(service: Service, job: Job, form: str = "txt", **params: str) -> str:
    answer = service.client.get(f"/v1/transcriptions/{job.public_id}/transcript", params={"format": form, **params})
    return answer.text


def test_a_correction_is_there_after_a_reload_and_in_what_is_downloaded(page: Page, service: Service, job: Job) -> None:
    row = page.locator('[data-row="3"]')
    row.hover()
    row.get_by_role("button", name="Edit sentence").click()
    field = page.get_by_label("Sentence text")
    expect(field).to_be_focused()
    expect(field).to_have_value(HEARD)
    field.fill(WRITTEN)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Correction saved.")).to_be_visible()
    expect(row.locator(".words").first).to_have_text(WRITTEN)
    page.reload()
    expect(row.locator(".words").first).to_have_text(WRITTEN)
    expect(row.locator(".heard")).to_have_count(0)
    page.get_by_label("Show original text").check()
    expect(row.locator(".heard")).to_contain_text(HEARD)
    for form in ("txt", "srt", "vtt", "json"):
        assert WRITTEN.rstrip("。")[-4:] in text(service, job, form)
    with page.expect_download() as download:
        page.locator(".downloads").get_by_role("link", name="txt", exact=True).click()
    assert download.value.path().read_text().splitlines()[3] == WRITTEN
    page.get_by_label("Include corrections").uncheck()
    with page.expect_download() as download:
        page.locator(".downloads").get_by_role("link", name="txt", exact=True).click()
    assert download.value.path().read_text().splitlines()[3] == HEARD
    row.get_by_role("button", name="Restore original").click()
    expect(row.locator(".words")).to_have_text([HEARD])
    assert text(service, job).splitlines()[3] == HEARD


def test_two_people_at_the_same_sentence(page: Page, service: Service, job: Job) -> None:
    path = f"/v1/transcriptions/{job.public_id}/sentences/3"
    row = page.locator('[data-row="3"]')

    def write(mine: str, theirs: str) -> None:
        row.focus()
        page.keyboard.press("e")
        page.get_by_label("Sentence text").fill(mine)
        assert service.client.patch(path, json={"text": theirs}).status_code == 200
        page.get_by_role("button", name="Save", exact=True).click()
        expect(row.get_by_role("alert")).to_contain_text(theirs)

    def now() -> str:
        return str(service.client.get(path).json()["text"])

    write("我的。", "别人的。")
    assert now() == "别人的。", "nothing is overwritten unseen"
    page.get_by_role("button", name="Use mine").click()
    expect(row.locator(".words").first).to_have_text("我的。")
    assert now() == "我的。"
    write("我的二。", "别人的二。")
    page.get_by_role("button", name="Use theirs").click()
    expect(row.locator(".words").first).to_have_text("别人的二。")
    assert now() == "别人的二。"


@pytest.fixture(autouse=True)
def conflicts_are_told_by_the_browser_too(request: pytest.FixtureRequest) -> None:
    if "two_people" in request.node.name:
        request.getfixturevalue("console").complaints.allow("409")


def test_without_a_mouse(page: Page, service: Service, job: Job) -> None:
    """From the page's start by Tab to a sentence, by arrows to another, corrected, undone; the focus is never lost."""
    page.locator("h1").click()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('[data-row]')"):
            break
    expect(page.locator('[data-row="0"]')).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    row = page.locator('[data-row="3"]')
    expect(row).to_be_focused()
    expect(row).to_have_attribute("aria-posinset", "4")
    expect(row).to_have_attribute("aria-setsize", "30")
    page.keyboard.press("e")
    page.get_by_label("Sentence text").fill("不要这个。")
    page.keyboard.press("Escape")
    expect(row).to_be_focused()
    assert text(service, job).splitlines()[3] == HEARD
    page.keyboard.press("e")
    page.keyboard.press("End")
    page.keyboard.type("对")
    page.keyboard.press("Enter")  # saves, and continues with the next one
    expect(page.get_by_label("Sentence text")).to_have_value(SPOKEN[4].text)
    expect(row.locator(".words").first).to_have_text(f"{HEARD}对")
    page.keyboard.press("Alt+ArrowUp")
    expect(page.get_by_label("Sentence text")).to_have_value(f"{HEARD}对")
    page.keyboard.press("Shift+Enter")
    expect(row).to_be_focused()
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.ariaLabel"))
    assert "Restore original" in reached
    assert "Edit sentence" in reached
    while page.evaluate("document.activeElement.ariaLabel") != "Restore original":
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(row).to_be_focused()
    expect(row.locator(".words")).to_have_text([HEARD])
    page.keyboard.press("Control+z")
    expect(row.locator(".words")).to_have_text([f"{HEARD}对"])
    page.keyboard.press("End")
    expect(page.locator('[data-row="29"]')).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('[data-row]').dataset.row") == "29"


def test_who_may_only_read_is_shown_no_way_to_correct(new_console: NewConsole, service: Service, job: Job) -> None:
    made = service.client.post("/v1/keys", json={"name": "reader", "scopes": [Scope.READ.value]}).json()
    console = new_console(key=made["key"])
    console.complaints.allow("410")
    page = console.open(f"#/t/{job.public_id}")
    page.locator('[data-row="3"]').focus()
    page.keyboard.press("e")
    expect(page.get_by_role("button", name=re.compile("Copy sentence")).first).to_be_attached()
    expect(page.get_by_role("button", name="Edit sentence")).to_have_count(0)
    expect(page.get_by_label("Sentence text")).to_have_count(0)


def test_an_empty_sentence_is_refused_and_leaving_the_field_saves(page: Page, service: Service, job: Job) -> None:
    page.locator('[data-row="1"]').focus()
    page.keyboard.press("e")
    field = page.get_by_label("Sentence text")
    field.fill("   ")
    page.keyboard.press("Enter")
    expect(page.locator('[data-row="1"]').get_by_role("alert")).to_contain_text("cannot be empty")
    field.fill("还没写完")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator('[data-row="29"] .when').click()
    expect(page.get_by_text("Correction saved.")).to_be_visible()
    assert text(service, job).splitlines()[1] == "还没写完"
    page.evaluate("scrollTo(0, 0)")
    expect(field).to_have_value("还没写完")


def test_what_was_typed_survives_a_lost_connection_and_a_reload(console: Console, page: Page) -> None:
    console.complaints.allow("ERR_FAILED")
    page.route("**/sentences/2", lambda route: route.abort())
    page.locator('[data-row="2"]').focus()
    page.keyboard.press("e")
    page.get_by_label("Sentence text").fill("只有我知道的话。")
    page.keyboard.press("Enter")
    expect(page.locator('[data-row="2"]').get_by_role("alert")).to_contain_text("cannot be reached")
    page.unroute("**/sentences/2")
    page.reload()
    expect(page.locator('[data-row="2"]')).to_contain_text("Unsaved draft")
    page.get_by_role("button", name="Continue editing").click()
    expect(page.get_by_label("Sentence text")).to_have_value("只有我知道的话。")
    page.keyboard.press("Shift+Enter")
    expect(page.locator('[data-row="2"] .words')).to_have_text("只有我知道的话。")
    expect(page.get_by_text("Unsaved draft")).to_have_count(0)
    page.keyboard.press("e")
    page.get_by_label("Sentence text").fill("不要了。")
    page.keyboard.press("Escape")
    expect(page.locator('[data-row="2"] .words')).to_have_text("只有我知道的话。")
    page.keyboard.press("Control+z")  # given up by mistake
    expect(page.get_by_label("Sentence text")).to_have_value("不要了。")


def test_from_one_unsure_word_to_the_next(page: Page, service: Service, job: Job) -> None:
    unsure = [
        (number, word.text)
        for number, item in enumerate(SPOKEN)
        for word in item.words[:60]
        if word.confidence is not None and word.confidence < 0.6
    ]
    assert len(unsure) > 2
    selected = "(({ value, selectionStart, selectionEnd }) => value.slice(selectionStart, selectionEnd))"
    selected += "(document.activeElement)"
    page.locator('[data-row="0"]').focus()
    page.keyboard.press("n")
    for number, word in unsure[:2]:
        expect(page.locator(f'[data-row="{number}"] textarea')).to_be_focused()
        assert page.evaluate(selected) == word
        page.keyboard.type("改")
        page.keyboard.press("Alt+n")
    number = unsure[0][0]
    expect(page.locator(f'[data-row="{number}"] .words')).to_contain_text("改")
    assert "改" in text(service, job).splitlines()[number]
