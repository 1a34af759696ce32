"""A headless Chromium of the system, driven by Playwright, and everything that it complains about."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW_TO_GET_IT = "no Chromium here; on Debian and Ubuntu: apt-get install -y chromium fonts-noto-cjk"
OPTIONS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


def chromium_path() -> str | None:
    """Where a Chromium is."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def running(microphone: Path | None = None) -> Iterator[Browser]:
    """The browser; its microphone hears the wav file over and over."""
    options = [*OPTIONS, f"--use-file-for-fake-audio-capture={microphone}"] if microphone else OPTIONS
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=[*options, *root])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Complaints:
    """Errors on the console of the page, exceptions, and what its policy forbade."""

    messages: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def allow(self, text: str) -> None:
        """A test that causes something says what the browser may say of it."""
        self.allowed.append(text)

    def listen(self, page: Page) -> None:
        """Hear a page from its start."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.messages.append(f"exception: {error.stack or error}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            where = message.location
            self.messages.append(f"{message.type}: {message.text} ({where.get('url')}:{where.get('lineNumber')})")

    @property
    def unexpected(self) -> list[str]:
        """What no test allowed."""
        return [text for text in self.messages if not any(allowed in text for allowed in self.allowed)]


def until(page: Page, expression: str, seconds: float = 60.0) -> None:
    """Until an expression is true. (Playwright's own wait_for_function needs the eval that our policy forbids.)"""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never true: {expression}"
        page.wait_for_timeout(50)


def sign_in(context: BrowserContext, url: str, key: str) -> None:
    """Give a browser a session, without the page where a person would begin it."""
    answer = context.request.post(f"{url}/v1/session", headers={"X-API-Key": key})
    assert answer.status == 201, answer.text()
