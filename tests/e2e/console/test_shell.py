"""The frame of the console: signing in and out, scopes, language, colours, the keyboard, a service without keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from dev.process import free_port, wait_until
from tests.e2e.console.conftest import Console, NewConsole
from tests.e2e.service import Service
from tests.servers import ADMIN_KEY


def test_a_key_opens_the_console_and_signing_out_closes_it(new_console: NewConsole) -> None:
    console = new_console(key=None)
    console.complaints.allow("401")  # the check for a session, and the wrong key
    page = console.open("#/jobs")
    field = page.get_by_label("API key")
    field.fill("pq_live_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This key is invalid")
    field.fill(ADMIN_KEY)
    field.press("Enter")
    expect(page.get_by_role("heading", name="Transcripts")).to_be_visible()  # where the address led
    page.reload()
    expect(page.get_by_role("heading", name="Transcripts")).to_be_visible()
    assert ADMIN_KEY not in page.evaluate("JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie")
    page.get_by_role("button", name=re.compile("Sign out")).click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.context.cookies() == []


def test_a_session_that_ended_leads_to_the_sign_in_page(console: Console) -> None:
    console.complaints.allow("401")
    page = console.open("#/settings/keys")
    expect(page.get_by_text("PARAQUEUE_ADMIN_KEY").nth(1)).to_be_visible()  # all of it was read
    page.context.clear_cookies()
    page.get_by_role("link", name="Search").click()
    page.get_by_role("searchbox").fill("预算")
    expect(page.get_by_label("API key")).to_be_visible()
    page.get_by_label("API key").fill(ADMIN_KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("searchbox")).to_have_value("预算")  # and back to where it was


@pytest.mark.parametrize(
    ("scopes", "seen", "hidden"),
    [
        (["read"], ["Transcripts", "Search"], ["Choose files"]),
        (["submit"], ["Choose files"], ["Transcripts", "Search"]),
    ],
    ids=["read", "submit"],
)
def test_pages_that_the_key_does_not_allow_are_not_shown(
    new_console: NewConsole, service: Service, scopes: list[str], seen: list[str], hidden: list[str]
) -> None:
    made = service.client.post("/v1/keys", json={"name": "+".join(scopes), "scopes": scopes}).json()
    page = new_console(key=made["key"]).open()
    for name in seen:
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    for name in hidden:
        expect(page.get_by_text(name, exact=True)).to_have_count(0)
    page.goto(f"{service.url}/#/settings/keys")
    expect(page.get_by_text("Page not found").first).to_be_visible()


def test_language_and_colours_are_the_systems_until_one_chooses(new_console: NewConsole) -> None:
    page = new_console(locale="zh-CN", color_scheme="dark").open()
    expect(page.get_by_role("heading", name="转写录音")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert luminance(page) < 60
    schemes: list[tuple[Literal["light", "dark"], bool]] = [("light", True), ("dark", False)]
    for scheme, is_light in schemes:  # the system changes while one looks
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(f"html[data-theme={scheme}]")).to_be_attached()
        assert (luminance(page) > 200) is is_light
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Transcribe a recording")).to_be_visible()
    page.get_by_role("button", name=re.compile("Theme: system")).click()
    assert luminance(page) > 200
    page.reload()
    expect(page.get_by_role("heading", name="Transcribe a recording")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "en"
    assert luminance(page) > 200


def luminance(page: Page) -> int:
    """The red of the page's background, which is a grey."""
    match = re.match(r"rgb\((\d+)", page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert match is not None
    return int(match[1])


def test_the_keyboard_is_enough(console: Console) -> None:
    page = console.open()
    expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to main content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert focused(page) == "Files"
    page.keyboard.press("ArrowRight")
    assert focused(page) == "Links"
    page.keyboard.press("Tab")
    page.keyboard.type("ftp://example.com/x.mp3")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"  # one sees where one is
    console.complaints.allow("422")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("did not accept this input")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.innerText")).strip()


@pytest.fixture
def open_service(service: Service) -> Iterator[Service]:
    """A second API of the same service, without authentication."""
    settings = service.settings.model_copy(update={"auth": "off", "port": free_port()})
    settings.model_fields_set.update({"auth", "port"})
    second = replace(service, settings=settings, children={})
    child = second.start("open-api", "api.main")
    try:
        wait_until(second._serves, [child], 60, "the second API did not answer")
        yield second
    finally:
        second.stop()


def test_without_authentication_nobody_signs_in(new_console: NewConsole, open_service: Service) -> None:
    page = new_console(key=None, at=open_service).open()
    expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Sign out"))).to_have_count(0)


def test_an_address_that_leads_nowhere_says_so(console: Console) -> None:
    page = console.open("#/nothing/%zz")
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()
