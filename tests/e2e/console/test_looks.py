"""Every page on a phone and a desktop, in both languages and colours: nothing is wider than the screen.

With CONSOLE_SCREENSHOTS=docs/screenshots some of them are kept for the README; with CONSOLE_PAGES=directory, a picture
of every page at four widths is made for people to look at.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console.browser import until
from tests.e2e.console.conftest import DESKTOP, PHONE, NewConsole
from tests.e2e.console.test_submit import FILES, MEETING, card, done
from tests.e2e.service import Service
from tests.servers import ADMIN_KEY

SCREENSHOTS = os.environ.get("CONSOLE_SCREENSHOTS", "")
PAGES = os.environ.get("CONSOLE_PAGES", "")
WIDTHS = (390, 768, 1280, 2560)
LARGEST_BYTES = 300_000
PLACES = [
    "#/",
    "#/jobs",
    "#/search?q=质量",
    "#/settings/usage",
    "#/settings/keys",
    "#/settings/webhooks",
    "#/t/{job}",
    "#/no",
]
LOOKS = {
    "phone-light-en": {"viewport": PHONE, "color_scheme": "light", "locale": "en-US"},
    "phone-dark-zh": {"viewport": PHONE, "color_scheme": "dark", "locale": "zh-CN"},
    "desktop-dark-en": {"viewport": DESKTOP, "color_scheme": "dark", "locale": "en-US"},
    "desktop-light-zh": {"viewport": DESKTOP, "color_scheme": "light", "locale": "zh-CN"},
}


@pytest.fixture(scope="module")
def job(service: Service) -> str:
    """A finished job with tags, a key, an endpoint and a failed job: pages have something to show."""
    service.client.post("/v1/keys", json={"name": "a rather long name of a key that does not fit", "scopes": ["read"]})
    service.client.post("/v1/webhooks", json={"url": f"http://127.0.0.1:9/{'hook' * 30}", "description": "CRM"})
    service.link("http://127.0.0.1:9/a-recording-with-a-long-name-that-is-longer-than-a-phone-is-wide.mp3")
    job = service.upload(MEETING, tags="meeting,quarter")
    service.finished(job)
    return job


def too_wide(page: Page) -> list[str]:
    """Elements that extend beyond the right edge of the screen, if the page can be scrolled there."""
    elements: list[str] = page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
            [...document.querySelectorAll('main *, header *')]
                .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
                .map((one) => one.outerHTML.slice(0, 150))"""
    )
    return elements


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_is_wider_than_the_screen(new_console: NewConsole, job: str, look: str) -> None:
    console = new_console(**LOOKS[look])
    for place in PLACES:
        page = console.open(place.format(job=job))
        expect(page.locator("h1, h2").first).to_be_visible()
        expect(page.locator(".loading")).to_have_count(0)
        assert not too_wide(page), place
        assert page.title().endswith("Paraqueue")
        assert len(page.title()) > len("Paraqueue")
    signed_out = new_console(key=None, **LOOKS[look])
    signed_out.complaints.allow("401")
    signed_out.open()
    expect(signed_out.page.locator("input[name=key]")).to_be_visible()
    assert not too_wide(signed_out.page)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_the_header_and_the_pages_fit_from_a_small_phone_to_a_wide_screen(
    new_console: NewConsole, job: str, locale: str
) -> None:
    page = new_console(locale=locale).open()
    wide: dict[str, list[str]] = {}
    for place in ("#/", "#/jobs", "#/settings/keys", f"#/t/{job}"):
        page.goto(page.url.partition("#")[0] + place)
        expect(page.locator("h1").first).to_be_visible()
        expect(page.locator(".loading")).to_have_count(0)
        if place == "#/jobs":  # with everything that a selection shows
            page.get_by_role("toolbar").get_by_role("checkbox").check()
        for width in (320, 390, 480, 600, 735, 740, 768, 800, 820, 900, 960, 1024, 1280, 1600, 1920, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            inside = page.evaluate("document.querySelector('.header-row').scrollWidth <= innerWidth")
            if (wide_elements := too_wide(page)) or not inside:
                wide[f"{place} at {width}"] = wide_elements or ["header"]
    assert not wide


def test_where_there_is_room_the_recording_stands_beside_its_text(new_console: NewConsole, job: str) -> None:
    page = new_console(viewport={"width": 2560, "height": 1300}).open(f"#/t/{job}")
    player, text = page.locator(".player"), page.locator(".long")
    expect(text).to_be_visible()
    boxes = player.bounding_box(), text.bounding_box()
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["x"] >= boxes[1]["x"] + boxes[1]["width"]


def test_on_a_phone_a_form_and_the_recorder_fit(new_console: NewConsole) -> None:
    page = new_console(**LOOKS["phone-light-en"]).open()
    page.get_by_role("tab", name="Microphone").click()
    page.get_by_role("button", name="Start recording").click()
    expect(page.get_by_role("timer")).to_be_visible()
    assert not too_wide(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("audio")).to_be_visible()
    assert not too_wide(page)
    page.goto(page.url.partition("#")[0] + "#/settings/keys")
    page.get_by_role("button", name="Create key").click()
    page.get_by_role("dialog").get_by_text("Limits", exact=True).click()
    assert not too_wide(page)


@pytest.mark.skipif(not SCREENSHOTS, reason="pictures are made when CONSOLE_SCREENSHOTS says where")
def test_pictures_for_the_readme(new_console: NewConsole, job: str) -> None:
    target = Path(SCREENSHOTS)
    target.mkdir(parents=True, exist_ok=True)
    view = {"width": 1120, "height": 800}

    def keep(page: Page, name: str) -> None:
        page.wait_for_timeout(600)
        page.screenshot(path=target / name)
        assert (target / name).stat().st_size < LARGEST_BYTES

    page = new_console(viewport={**view, "height": 1200}).open()
    page.set_input_files(FILES, MEETING)
    until(page, "document.querySelector('li.job [role=log]')?.innerText.length > 100")
    keep(page, "send.png")
    done(page, card(page, "meeting.mp3").first.inner_text().splitlines()[0])
    page = new_console(viewport=view).open(f"#/t/{job}")
    expect(page.locator(".drawn")).to_be_visible()
    keep(page, "transcript.png")
    page = new_console(viewport=view, color_scheme="dark", locale="zh-CN").open(f"#/t/{job}")
    expect(page.locator(".drawn")).to_be_visible()
    keep(page, "transcript-dark-zh.png")
    page = new_console(**LOOKS["phone-dark-zh"]).open()
    expect(page.get_by_text("选择文件", exact=True)).to_be_visible()
    keep(page, "phone.png")
    assert ADMIN_KEY not in page.content()


@pytest.mark.skipif(not PAGES, reason="pictures are made when CONSOLE_PAGES says where")
@pytest.mark.parametrize("look", [("light", "en-US"), ("dark", "zh-CN"), ("dark", "en-US"), ("light", "zh-CN")])
def test_pictures_of_every_page(new_console: NewConsole, service: Service, job: str, look: tuple[str, str]) -> None:
    words = {"hotwords": ["王晓明:8", "Kubernetes"], "masked_words": ["密码"]}
    if not service.client.get("/v1/vocabularies").json()["data"]:
        service.client.post("/v1/vocabularies", json={"name": "Board meetings", **words}).raise_for_status()
    vocabulary = service.client.get("/v1/vocabularies").json()["data"][0]["id"]
    endpoint = service.client.get("/v1/webhooks").json()["data"][0]["id"]
    places = {
        "home": "#/",
        "jobs": "#/jobs",
        "search": "#/search?q=质量",
        "usage": "#/settings/usage",
        "vocabularies": "#/settings/vocabularies",
        "vocabulary": f"#/settings/vocabularies/{vocabulary}",
        "keys": "#/settings/keys",
        "webhooks": "#/settings/webhooks",
        "endpoint": f"#/settings/webhooks/{endpoint}",
        "transcript": f"#/t/{job}",
        "failed": f"#/t/{service.client.get('/v1/transcriptions?name=a-recording').json()['data'][0]['id']}",
        "none": "#/no",
    }
    theme, locale = look
    console = new_console(color_scheme=theme, locale=locale)
    page = console.open()
    page.set_input_files(FILES, MEETING)
    expect(page.locator("li.job .pill.good")).to_have_count(1)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844 if width < 768 else 1000 if width < 2560 else 1300})
        for name, place in places.items():
            console.open(place)
            page.reload()
            _settled(page)
            _kept(page, f"{name}-{width}-{theme}-{locale[:2]}")
            if name == "jobs":
                page.get_by_role("toolbar").get_by_role("checkbox").check()
                page.locator("li.line").first.locator("button").first.click()
                _kept(page, f"jobs-chosen-{width}-{theme}-{locale[:2]}")
            if name == "transcript":
                page.keyboard.press("Control+h")
                page.locator(".find input").first.fill("我们")
                page.locator('[data-row="1"]').focus()
                page.keyboard.press("e")
                _kept(page, f"editing-{width}-{theme}-{locale[:2]}", whole=False)
                page.keyboard.press("Escape")
                page.keyboard.press("?")
                _kept(page, f"help-{width}-{theme}-{locale[:2]}", whole=False)


def _settled(page: Page) -> None:
    expect(page.locator("h1, h2").first).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)
    page.wait_for_timeout(300)


def _kept(page: Page, name: str, *, whole: bool = True) -> None:
    page.screenshot(path=Path(PAGES) / f"{name}.png", full_page=whole)
