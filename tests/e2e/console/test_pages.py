"""Lists that are read page by page: what is loaded stays, nothing comes twice, a failed page can be asked for again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.console.conftest import Console
from tests.e2e.console.test_jobs import frozen_worker
from tests.e2e.service import Service

TAG = "page-by-page"
JOBS = 128
NEXT_PAGES = "**/v1/transcriptions?*after=*"


@pytest.fixture(scope="module")
def waiting(service: Service) -> Iterator[None]:
    """Many jobs of two batches, each of which was submitted at one moment; none moves while they are looked at."""
    links = [f"http://127.0.0.1:9/gone-{number}.mp3" for number in range(JOBS)]
    with frozen_worker(service):
        for some in (links[:100], links[100:]):
            service.client.post("/v1/batches", json={"audio_urls": some, "tags": [TAG]}).raise_for_status()
        yield
        while rows := service.client.get("/v1/transcriptions", params={"tag": TAG, "limit": 100}).json()["data"]:
            for row in rows:
                service.client.delete(f"/v1/transcriptions/{row['id']}").raise_for_status()


@pytest.mark.usefixtures("waiting")
def test_rows_of_one_moment_stay_when_the_list_is_read_again(console: Console) -> None:
    page = console.open(f"#/jobs?tag={TAG}")
    lines = page.locator("li.line")
    expect(lines).to_have_count(25)
    page.get_by_role("button", name="Show more").click()
    expect(lines).to_have_count(50)
    for _ in range(2):
        with page.expect_response(lambda answer: "limit=25" in answer.url and "after=" not in answer.url):
            pass
    expect(lines).to_have_count(50)
    ids = lines.evaluate_all("rows => rows.map((row) => row.dataset.job)")
    page.get_by_role("button", name="Show more").click()
    expect(lines).to_have_count(75)
    assert lines.evaluate_all("rows => rows.map((row) => row.dataset.job)")[:50] == ids


@pytest.mark.usefixtures("waiting")
def test_a_page_that_comes_late_is_added_once_or_not_at_all(console: Console) -> None:
    page = console.open(f"#/jobs?tag={TAG}&sort=oldest")
    lines = page.locator("li.line")
    more = page.get_by_role("button", name="Show more")
    expect(lines).to_have_count(25)
    held: list[Route] = []
    page.route(NEXT_PAGES, lambda route: held.append(route))
    with page.expect_request(NEXT_PAGES):
        page.evaluate("() => { const [one] = document.querySelectorAll('p.center button'); one.click(); one.click(); }")
    expect(more).to_be_disabled()
    for route in held:
        route.continue_()
    expect(lines).to_have_count(50)
    held.clear()
    with page.expect_request(NEXT_PAGES):
        more.click()
    page.get_by_label("Sort by").select_option(label="Newest")
    expect(page).to_have_url(f"{console.service.url}/#/jobs?tag={TAG}")
    expect(lines).to_have_count(25)
    for route in held:
        route.continue_()
    with page.expect_response(lambda answer: "limit=25" in answer.url):  # read again, and only then looked at
        pass
    expect(lines).to_have_count(25)


@pytest.mark.usefixtures("waiting")
def test_a_page_that_failed_is_asked_for_again(console: Console) -> None:
    console.complaints.allow("500")
    page = console.open(f"#/jobs?tag={TAG}&sort=oldest")
    lines = page.locator("li.line")
    more = page.get_by_role("button", name="Show more")
    for count in (25, 50, 75, 100):
        expect(lines).to_have_count(count)
        more.click()
    expect(lines).to_have_count(125)
    page.route(NEXT_PAGES, lambda route: route.fulfill(status=500, json={"code": "internal", "detail": "broken"}))
    more.click()
    expect(page.get_by_role("alert")).to_contain_text("Something went wrong")
    page.unroute(NEXT_PAGES)
    page.get_by_role("button", name="Try again").click()
    expect(lines).to_have_count(JOBS)
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.usefixtures("waiting")
def test_a_page_that_fails_twice_says_so_each_time(console: Console) -> None:
    console.complaints.allow("500")
    page = console.open("#/settings/vocabularies")
    broken = "**/v1/usage*"
    page.route(broken, lambda route: route.fulfill(status=500, json={"code": "internal", "detail": "broken"}))
    page.get_by_role("link", name="Usage").click()
    expect(page.get_by_role("alert")).to_contain_text("Something went wrong")
    held: list[Route] = []
    page.unroute(broken)
    page.route(broken, lambda route: held.append(route))
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Loading")).to_be_visible()
    held[0].continue_()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(
        page.get_by_role("link", name="Download CSV").or_(page.get_by_text("Nothing was transcribed"))
    ).to_be_visible()
