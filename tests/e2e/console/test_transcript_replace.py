"""Replacing a word everywhere, confirming words, and taking back an earlier text."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from common.jobs import Job
from tests.e2e.console.conftest import Console
from tests.e2e.console.test_transcript_edit import HEARD, SPOKEN, text
from tests.e2e.console.transcripts import put
from tests.e2e.service import Service


@pytest.fixture
def job(service: Service) -> Job:
    return put(service.settings, SPOKEN, name="meeting.mp3")


@pytest.fixture(autouse=True)
def conflicts_are_told_by_the_browser_too(request: pytest.FixtureRequest) -> None:
    if "two_people" in request.node.name:
        request.getfixturevalue("console").complaints.allow("409")


def test_a_word_is_replaced_once_and_everywhere_and_that_is_undone(page: Page, service: Service, job: Job) -> None:
    before = text(service, job)
    found = before.count("第")
    assert found > 2
    page.locator('[data-row="0"]').focus()
    page.keyboard.press("Control+h")
    page.get_by_label("Find in transcript").fill("第")
    expect(page.locator(".find-count")).to_contain_text(f"of {found}")
    page.get_by_label("Replace with").fill("弟")
    page.keyboard.press("Enter")
    expect(page.locator(".find-count")).to_contain_text(f"of {found - 1}")
    assert text(service, job).count("弟") == 1
    page.get_by_role("button", name=f"Replace all {found - 1}").click()
    expect(page.get_by_text(f"{found - 1} matches replaced.")).to_be_visible()
    expect(page.locator(".find-count")).to_have_text("No matches")
    after = text(service, job)
    assert (after.count("第"), after.count("弟")) == (0, found)
    assert page.locator(".sentence", has_text="弟").count() > 0
    page.get_by_role("button", name=f"Undo {found - 1} replacement").click()
    expect(page.locator(".find-count")).to_contain_text(f"of {found - 1}")
    assert text(service, job).count("弟") == 1
    page.keyboard.press("Control+z")
    expect(page.locator(".find-count")).to_contain_text(f"of {found}")
    assert text(service, job) == before


def test_a_replacement_does_not_overwrite_the_work_of_another(
    console: Console, page: Page, service: Service, job: Job
) -> None:
    console.complaints.allow("409")
    sentences = f"/v1/transcriptions/{job.public_id}/sentences"
    number = next(n for n, line in enumerate(text(service, job).splitlines()) if "第" in line)
    page.keyboard.press("Control+h")
    page.get_by_label("Find in transcript").fill("第")
    expect(page.locator(".find-count")).to_contain_text("1 of")
    assert service.client.patch(f"{sentences}/{number}", json={"text": "第一是别人。"}).status_code == 200
    theirs = text(service, job)
    page.get_by_label("Replace with").fill("弟")
    page.get_by_role("button", name="Replace all").click()
    expect(page.get_by_text("changed").first).to_be_visible()
    expect(page.locator(f'[data-row="{number}"] .words')).to_have_text("第一是别人。")
    assert text(service, job) == theirs, "all or none"
    page.get_by_role("button", name="Replace all").click()
    expect(page.locator(f'[data-row="{number}"] .words')).to_have_text("弟一是别人。")


def test_confirmed_words_are_no_longer_unsure(page: Page, service: Service, job: Job) -> None:
    unsure = [
        (number, place)
        for number, item in enumerate(SPOKEN)
        for place, word in enumerate(item.words)
        if word.confidence < 0.6
    ]
    assert len(unsure) > 2
    page.locator('[data-row="0"]').focus()
    page.keyboard.press("n")
    for number, place in unsure[:2]:
        expect(page.locator(f'[data-row="{number}"] textarea')).to_be_focused()
        page.keyboard.press("Alt+c")
        expect(page.locator(f'[data-row="{number}"] textarea')).to_have_count(0)
        expect(page.locator(f'[data-row="{number}"] .unsure')).to_have_count(0)
        said = service.client.get(f"/v1/transcriptions/{job.public_id}/sentences/{number}").json()
        assert (said["text"], said["words"][place]["confirmed"]) == (SPOKEN[number].text, True)
    number = unsure[1][0]
    page.keyboard.press("Escape")
    page.keyboard.press("Control+z")
    expect(page.locator(f'[data-row="{number}"] .unsure')).to_have_count(1)
    page.reload()
    expect(page.locator(f'[data-row="{number}"] .unsure')).to_have_count(1)
    expect(page.locator(f'[data-row="{unsure[0][0]}"] .unsure')).to_have_count(0)


def test_an_earlier_text_is_taken_back_from_the_history(page: Page, service: Service, job: Job) -> None:
    path = f"/v1/transcriptions/{job.public_id}/sentences/3"
    for written in ("第一次。", "第二次。"):
        assert service.client.patch(path, json={"text": written}).status_code == 200
    page.reload()
    row = page.locator('[data-row="3"]')
    row.focus()
    page.keyboard.press("e")
    row.get_by_role("button", name="History").click()
    versions = row.get_by_role("list", name="Earlier versions").get_by_role("listitem")
    expect(versions).to_have_count(3)
    expect(versions.nth(1)).to_contain_text("第一次。")
    expect(versions.nth(2)).to_contain_text(HEARD)
    versions.nth(1).get_by_role("button", name="Use this text").click()
    expect(page.get_by_label("Sentence text")).to_have_value("第一次。")
    page.get_by_label("Sentence text").press("Shift+Enter")
    expect(row.locator(".words").first).to_have_text("第一次。")
    assert service.client.get(path).json()["edit"]["revision"] == 3
