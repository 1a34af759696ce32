"""One service and one browser for all tests of the console; a fresh context, with its own storage, for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from common.jobs import Job
from dev.postgres import Postgres
from tests.db.webhook_cases import KEY
from tests.e2e.console.browser import HOW_TO_GET_IT, Complaints, chromium_path, running, sign_in
from tests.e2e.console.voice import spoken_wav
from tests.e2e.service import Service, fresh_service
from tests.servers import ADMIN_KEY

DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 360, "height": 740}
# For what the page waits for on a machine that is busy with other things.
PATIENCE_MS = 120_000
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Console:
    """A page of the console and the service it uses."""

    page: Page
    service: Service
    complaints: Complaints

    def open(self, place: str = "#/") -> Page:
        """Load the console at a place: `#/jobs`."""
        self.page.goto(f"{self.service.url}/{place}")
        return self.page


@pytest.fixture(scope="package")
def service(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service of the console's tests. It outlives each of them: tests find their own jobs, by name or tag."""
    if not chromium_path():
        pytest.skip(HOW_TO_GET_IT)
    place = tmp_path_factory.mktemp("console")
    with fresh_service(postgres, place, secret_key=KEY, part_seconds=20.0, webhook_timeout_seconds=5.0) as service:
        yield service


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium. Not for the session: while it runs, no other test could run an event loop."""
    if not chromium_path():
        pytest.skip(HOW_TO_GET_IT)
    with running(spoken_wav(tmp_path_factory.mktemp("voice"))) as browser:
        yield browser


NewConsole = Callable[..., Console]


@pytest.fixture
def new_console(service: Service, browser: Browser) -> Iterator[NewConsole]:
    """Makes consoles: `new_console(locale="zh-CN", viewport=PHONE, color_scheme="dark", key=None)`.

    Nothing may be wrong on their browser's console at the end, but for what a test allowed.
    """
    made: list[tuple[BrowserContext, Complaints]] = []

    def new(key: str | None = ADMIN_KEY, at: Service = service, **options: object) -> Console:
        context = browser.new_context(**{"locale": "en-US", "viewport": DESKTOP, **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        complaints = Complaints()
        made.append((context, complaints))
        if key is not None:
            sign_in(context, at.url, key)
        page = context.new_page()
        complaints.listen(page)
        return Console(page, at, complaints)

    yield new
    for context, _ in made:
        context.close()
    assert not [text for _, complaints in made for text in complaints.unexpected]


@pytest.fixture
def console(new_console: NewConsole) -> Console:
    """The console of a signed-in user with all scopes, in English, on a desktop."""
    return new_console()


@pytest.fixture
def page(console: Console, job: Job) -> Page:
    """The transcript of the module's `job`, which has no recording."""
    console.complaints.allow("410")
    page = console.open(f"#/t/{job.public_id}")
    expect(page.locator('[data-row="0"]')).to_be_visible()
    return page
