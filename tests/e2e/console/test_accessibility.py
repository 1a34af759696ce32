"""axe-core over every page, in both languages, light and dark, on a desktop and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from common.jobs import Job
from tests.e2e.console.axe import violations
from tests.e2e.console.conftest import DESKTOP, PHONE, NewConsole
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.console.voice import MEETING
from tests.e2e.service import Service

# Each language, each scheme of colours and each width with each of the others, not all eight.
LOOKS: list[dict[str, Any]] = [
    {"locale": "en-US", "color_scheme": "light", "viewport": DESKTOP},
    {"locale": "zh-CN", "color_scheme": "dark", "viewport": DESKTOP},
    {"locale": "zh-CN", "color_scheme": "light", "viewport": PHONE},
    {"locale": "en-US", "color_scheme": "dark", "viewport": PHONE},
]
NOWHERE = "#/nothing/here"
PLACES = [NOWHERE, "#/", "#/jobs", "#/search", "#/search?q=预算", "#/settings/usage", "#/settings/keys"]
PLACES += ["#/settings/webhooks", "#/settings/vocabularies"]
# What opens a dialog there.
OPENS = {"#/settings/keys", "#/settings/webhooks", "#/settings/vocabularies"}


@pytest.fixture(scope="module")
def call(service: Service) -> Job:
    job = put(service.settings, spoken(60, 3, channels=2), MEETING, name="call.mp3")
    path = f"/v1/transcriptions/{job.public_id}/sentences/1"
    assert service.client.patch(path, json={"text": "人写的预算。"}).status_code == 200
    return job


@pytest.fixture(scope="module")
def endpoint(service: Service) -> str:
    body = {"url": "https://example.com/hook", "events": ["transcription.completed"], "description": "nightly"}
    made = service.client.post("/v1/webhooks", json=body)
    assert made.status_code == 201, made.text
    return f"#/settings/webhooks/{made.json()['id']}"


@pytest.fixture(scope="module")
def vocabulary(service: Service) -> str:
    made = service.client.post("/v1/vocabularies", json={"name": "Names", "hotwords": ["王晓明:8"]})
    assert made.status_code == 201, made.text
    return f"#/settings/vocabularies/{made.json()['id']}"


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look['locale']}-{look['color_scheme']}")
def test_no_page_is_hard_to_use(
    new_console: NewConsole, call: Job, endpoint: str, vocabulary: str, look: dict[str, Any]
) -> None:
    console = new_console(bypass_csp=True, **look)
    page = console.open()
    by_place: dict[str, Any] = {}
    headings: dict[str, str] = {}

    def check(place: str) -> None:
        if wrong := violations(page):
            by_place[place] = wrong

    for place in [*PLACES, endpoint, vocabulary]:
        page.goto(f"{console.service.url}/{place}")
        page.locator("h1").wait_for()
        page.wait_for_load_state("networkidle")
        headings[place] = page.locator("h1").inner_text()
        check(place)
        if place in OPENS:
            page.locator(".page-head button.primary").click()
            page.get_by_role("dialog").wait_for()
            check(f"{place}: dialog")
            page.keyboard.press("Escape")
        if place == "#/jobs":
            work_on_the_list(page, check)
        for tab in page.get_by_role("tab").all():
            tab.click()
            check(f"{place}: {tab.inner_text()}")
    nowhere = headings.pop(NOWHERE)
    assert nowhere not in headings.values(), "a page that is looked at is not there"
    page.goto(f"{console.service.url}/#/t/{call.public_id}")
    expect(page.locator(".drawn")).to_be_visible()
    check("transcript")
    for name, act in ACTS.items():
        act(page)
        check(f"transcript: {name}")
    page.context.clear_cookies()
    console.complaints.allow("401")
    page.goto(f"{console.service.url}/?again#/")
    page.locator("input[name=key]").wait_for()
    check("signed out")
    assert not by_place


def test_what_is_wrong_is_found(new_console: NewConsole) -> None:
    page = new_console(bypass_csp=True).open()
    page.locator("h1").wait_for()
    page.evaluate("document.querySelector('main').append(document.createElement('input'))")
    page.evaluate("document.querySelector('h1').style.color = 'rgb(215 215 215)'")
    assert {item["rule"] for item in violations(page)} >= {"label", "color-contrast"}


def work_on_the_list(page: Page, check: Callable[[str], None]) -> None:
    """Rows are selected, one is edited, and its details are shown."""
    page.get_by_role("toolbar").get_by_role("checkbox").check()
    page.get_by_role("button", name="call.mp3").nth(0).click()
    page.locator(".line-edit").wait_for()
    check("list: selected and edited")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="call.mp3").nth(1).click()
    page.locator(".details").wait_for()
    check("list: details")
    page.keyboard.press("Escape")


def play(page: Page) -> None:
    """A word is marked, and a find marks others."""
    page.locator(".legend input[type=checkbox]").check()  # the machine's text below the correction
    page.locator('[data-row="1"] .heard [data-word="1"]').click()
    page.keyboard.press("/")
    page.locator(".find input").fill("明")
    page.locator("mark.chosen").wait_for()


def correct(page: Page) -> None:
    page.keyboard.press("Escape")
    page.locator('[data-row="2"]').focus()
    page.keyboard.press("e")
    page.locator(".editor textarea").wait_for()


def ask_for_keys(page: Page) -> None:
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()


ACTS: dict[str, Callable[[Page], None]] = {"playing and finding": play, "correcting": correct, "keys": ask_for_keys}
