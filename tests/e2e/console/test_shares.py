"""Sharing a transcript: a link is made in the console, and read in a browser that was never signed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from common.jobs import Job
from tests.e2e.console.axe import violations
from tests.e2e.console.browser import until
from tests.e2e.console.conftest import PATIENCE_MS, PHONE, NewConsole
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.console.voice import MEETING
from tests.e2e.service import Service

SPOKEN = spoken(80, 5, channels=2)
SENTENCES = "**/v1/shared/sentences*"
NOTE_SEEKS = "document.querySelector('audio').addEventListener('seeked', (e) => window.at = e.target.currentTime)"


@pytest.fixture
def job(service: Service) -> Job:
    return put(service.settings, SPOKEN, MEETING, name="董事会.mp3")


def shared(service: Service, job: Job, **wanted: Any) -> dict[str, Any]:
    answer = service.client.post(f"/v1/transcriptions/{job.public_id}/shares", json=wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def place_of(made: dict[str, Any]) -> str:
    """What stands behind the address of the service."""
    return "#" + str(made["url"]).partition("#")[2]


def visited(page: Page) -> None:
    page.locator("[data-row]").first.wait_for()


def test_a_link_is_made_opened_by_a_stranger_and_revoked(new_console: NewConsole, job: Job) -> None:
    owner = new_console()
    page = owner.open(f"#/t/{job.public_id}")
    page.get_by_role("button", name="Share", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("The link works for").select_option("7")
    dialog.get_by_label("Share the recording too").check()
    dialog.get_by_role("button", name="Create link").click()
    expect(dialog.get_by_label("Link", exact=True)).to_be_focused()
    url = dialog.get_by_label("Link", exact=True).input_value()
    assert "/#/shared/pq_share_" in url
    expect(dialog.locator(".share-links li")).to_have_count(1)
    expect(dialog.locator(".share-links li")).to_contain_text("opened 0 times")

    stranger = new_console(key=None)
    addresses: list[str] = []
    stranger.page.on("request", lambda request: addresses.append(request.url.partition("#")[0]))
    there = stranger.open("#" + url.partition("#")[2])
    visited(there)
    expect(there.get_by_role("heading", level=1)).to_have_text("董事会.mp3")
    expect(there.locator(".drawn")).to_be_visible(timeout=PATIENCE_MS)
    expect(there.locator('[data-row="3"] .words')).to_have_text(SPOKEN[3].text)
    there.evaluate(
        "document.querySelector('audio').addEventListener('seeked', (e) => window.at = e.target.currentTime)"
    )
    there.locator('[data-row="3"] .words').click()
    until(there, "window.at !== undefined")
    assert abs(float(there.evaluate("window.at")) * 1000 - SPOKEN[3].start_ms) < 300
    for words in ("Edit", "Share", "Delete", "Transcriptions", "Details"):
        expect(there.get_by_role("button", name=words)).to_have_count(0)
        expect(there.get_by_role("link", name=words)).to_have_count(0)
    assert not [address for address in addresses if "pq_share_" in address], "the token is in no request's address"
    assert not [address for address in addresses if "/v1/transcriptions" in address or "/v1/session" in address]
    assert "pq_share_" not in there.title()

    dialog.get_by_role("button", name="Revoke the link").click()
    expect(dialog.locator(".share-links li")).to_have_count(0)
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    stranger.complaints.allow("404")
    there.get_by_role("button", name="srt").click()
    expect(there.get_by_role("heading", level=1)).to_have_text("This link does not work")
    there.reload()
    expect(there.get_by_role("heading", level=1)).to_have_text("This link does not work")
    expect(there.get_by_text("has expired or was revoked")).to_be_visible()


@pytest.mark.parametrize("form", ["txt", "docx"])
def test_a_stranger_downloads_the_transcript(
    new_console: NewConsole, service: Service, job: Job, form: str, tmp_path: Path
) -> None:
    page = new_console(key=None).open(place_of(shared(service, job)))
    visited(page)
    expect(page.get_by_role("button", name="Play", exact=True)).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name=form, exact=True).click()
    assert download.value.suggested_filename == f"董事会.{form}"
    download.value.save_as(tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    assert content.startswith(b"PK") if form == "docx" else SPOKEN[0].text in content.decode()


def test_a_stranger_chooses_language_and_colours_and_finds_words(
    new_console: NewConsole, service: Service, job: Job
) -> None:
    page = new_console(key=None, locale="zh-CN", color_scheme="light").open(place_of(shared(service, job)))
    visited(page)
    expect(page.get_by_text("链接有效期至")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_text("shared until")).to_be_visible()
    page.keyboard.press("/")
    page.get_by_role("searchbox").fill(SPOKEN[40].text[:6])
    expect(page.locator("mark").first).to_be_visible()
    expect(page.get_by_role("button", name="Replace")).to_have_count(0)
    page.get_by_role("button", name="Theme").click()
    until(page, "document.documentElement.dataset.theme === 'light'")


def test_a_link_works_for_those_who_are_signed_in_too_and_changes_nothing(
    new_console: NewConsole, service: Service, job: Job
) -> None:
    console = new_console()
    console.open(f"#/t/{job.public_id}").locator("[data-row]").first.wait_for()
    page = console.open(place_of(shared(service, job)))
    visited(page)
    page.locator('[data-row="1"]').focus()
    page.keyboard.press("e")
    expect(page.locator("textarea")).to_have_count(0)
    expect(page.get_by_role("button", name="Edit")).to_have_count(0)


def test_a_text_that_failed_to_load_is_asked_for_again(new_console: NewConsole, service: Service, job: Job) -> None:
    console = new_console(key=None)
    console.complaints.allow("500")
    broken = {"code": "internal", "detail": "broken"}
    console.page.route(SENTENCES, lambda route: route.fulfill(status=500, json=broken))
    page = console.open(place_of(shared(service, job)))
    page.get_by_role("alert").get_by_text("broken").wait_for(state="attached")
    expect(page.locator(".loading")).to_have_count(0)
    page.unroute(SENTENCES)
    page.get_by_role("button", name="Try again").click()
    visited(page)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_wrong_link_says_so(new_console: NewConsole) -> None:
    console = new_console(key=None)
    console.complaints.allow("404")
    page = console.open("#/shared/pq_share_" + "a" * 43)
    expect(page.get_by_role("heading", level=1)).to_have_text("This link does not work")


def test_where_sharing_is_off_the_dialog_says_so(new_console: NewConsole, service: Service, job: Job) -> None:
    assert service.client.patch("/v1/tenants/default", json={"sharing": False}).status_code == 200
    try:
        page = new_console().open(f"#/t/{job.public_id}")
        page.get_by_role("button", name="Share", exact=True).click()
        expect(page.get_by_role("dialog")).to_contain_text("Sharing by link is switched off.")
        expect(page.get_by_role("button", name="Create link")).to_have_count(0)
    finally:
        assert service.client.patch("/v1/tenants/default", json={"sharing": True}).status_code == 200


def test_a_recording_that_is_gone_cannot_be_shared(new_console: NewConsole, service: Service) -> None:
    job = put(service.settings, SPOKEN, None, name="gone.mp3")
    console = new_console()
    console.complaints.allow("410")
    page = console.open(f"#/t/{job.public_id}")
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_label("Share the recording too")).to_be_disabled()
    expect(page.get_by_role("dialog")).to_contain_text("The recording has been deleted.")


@pytest.mark.parametrize("look", [{"locale": "en-US"}, {"locale": "zh-CN", "color_scheme": "dark", "viewport": PHONE}])
def test_neither_page_is_hard_to_use(new_console: NewConsole, service: Service, job: Job, look: dict[str, Any]) -> None:
    made = shared(service, job, audio=True)
    page = new_console(key=None, bypass_csp=True, **look).open(place_of(made))
    visited(page)
    expect(page.locator(".drawn")).to_be_visible(timeout=PATIENCE_MS)
    assert violations(page) == []
    owner = new_console(bypass_csp=True, **look).open(f"#/t/{job.public_id}")
    visited(owner)
    owner.locator(".transcript-head button", has_text="Share" if look["locale"] == "en-US" else "分享").click()
    expect(owner.locator(".share-links li")).to_have_count(1)
    assert violations(owner) == []
    assert owner.evaluate("document.documentElement.scrollWidth <= innerWidth")
