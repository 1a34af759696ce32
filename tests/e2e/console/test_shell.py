"""The frame of the console: signing in and out, language, colours, addresses."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.e2e.console.conftest import NewConsole
from tests.servers import ADMIN_KEY


def test_a_key_opens_the_console_and_signing_out_closes_it(new_console: NewConsole) -> None:
    console = new_console(key=None)
    console.complaints.allow("401")  # the question whether somebody is signed in, and the wrong key
    page = console.open("#/jobs")
    field = page.get_by_label("API key")
    field.fill("pq_live_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This key is not valid")
    field.fill(ADMIN_KEY)
    field.press("Enter")
    expect(page.get_by_role("heading", name="Transcripts")).to_be_visible()  # where the address led
    page.reload()
    expect(page.get_by_role("heading", name="Transcripts")).to_be_visible()
    page.get_by_role("button", name=re.compile("Sign out")).click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert [cookie["name"] for cookie in page.context.cookies()] == []
