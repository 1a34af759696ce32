"""Five hours: 8,000 sentences, 80,000 words, of which only those in sight are drawn."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from common.jobs import Job
from tests.e2e.console.browser import until
from tests.e2e.console.conftest import Console
from tests.e2e.console.scrolling import SENTENCES, STEPS, scroll
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.service import Service

# What scrolling by a screen may take of the browser. All of it is counted: a slow or busy machine counts the same.
# Measured: 24 rows inserted and 1.5 layouts a step, at most 48 rows and 1,424 nodes at once, 10 MiB.
MOST_ROWS_INSERTED = 36
MOST_LAYOUTS = 4
MOST_ROWS = 120
MOST_NODES = 2_500
MOST_MEBIBYTES = 60


@pytest.fixture(scope="module")
def job(service: Service) -> Job:
    sentences = spoken(SENTENCES, 5)
    assert sum(len(item.words) for item in sentences) > 80_000
    assert sentences[-1].end_ms > 5 * 3600 * 1000 * 0.99
    return put(service.settings, sentences, name="five hours.mp3")


@pytest.fixture
def page(console: Console, job: Job) -> Page:
    console.complaints.allow("410")
    page = console.open(f"#/t/{job.public_id}")
    page.locator(f'[aria-setsize="{SENTENCES}"]').first.wait_for()
    return page


def frames(page: Page) -> None:
    """Until the page has drawn what a scroll brought into sight, and has measured it."""
    page.evaluate("async () => { for (let n = 0; n < 4; n += 1) await new Promise(requestAnimationFrame); }")


def test_scrolling_draws_what_comes_into_sight_and_nothing_else(page: Page) -> None:
    scrolled = scroll(page)
    print(scrolled)
    assert scrolled.holes == []
    assert scrolled.most_rows < MOST_ROWS
    assert scrolled.most_nodes < MOST_NODES
    assert scrolled.rows_inserted < MOST_ROWS_INSERTED * STEPS
    assert scrolled.layouts < MOST_LAYOUTS * STEPS
    assert scrolled.style_recalculations < MOST_LAYOUTS * STEPS
    assert scrolled.heap_mebibytes < MOST_MEBIBYTES


def test_the_ends_and_the_middle_are_a_key_away_and_the_focus_stays(page: Page) -> None:
    page.locator('[data-row="0"]').focus()
    page.keyboard.press("End")
    last = page.locator(f'[data-row="{SENTENCES - 1}"]')
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport()
    page.keyboard.press("ArrowUp")
    expect(page.locator(f'[data-row="{SENTENCES - 2}"]')).to_be_focused()
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    frames(page)
    assert page.evaluate("document.activeElement.dataset.row") == str(SENTENCES - 2), "drawn, though far out of sight"
    page.keyboard.press("Home")
    expect(page.locator('[data-row="0"]')).to_be_focused()
    expect(page.locator('[data-row="0"]')).to_be_in_viewport()


def test_the_page_stands_still_where_it_was_scrolled_to(page: Page) -> None:
    """Rows above are higher than estimated; the text being read must not move."""
    page.evaluate("scrollTo(0, 200000)")
    frames(page)
    row = page.locator("[data-row]").nth(15)
    number = row.get_attribute("data-row")
    top = f"document.querySelector('[data-row=\"{number}\"]').getBoundingClientRect().top"
    page.mouse.move(600, 600)
    for _ in range(6):
        before = float(page.evaluate(top))
        page.mouse.wheel(0, -40)
        until(page, f"Math.abs({top} - {before} - 40) < 3")
        frames(page)
        assert abs(float(page.evaluate(top)) - before - 40) < 3, "it moved on by itself"


def test_words_are_found_anywhere_in_it(page: Page) -> None:
    page.keyboard.press("/")
    page.get_by_label("Find in transcript").fill("kubernetes")
    expect(page.locator("mark.chosen")).to_be_in_viewport()
    page.keyboard.press("Shift+Enter")  # the last one
    expect(page.locator("mark.chosen")).to_be_in_viewport()
    assert int(page.locator("[data-row]:has(mark.chosen)").get_attribute("data-row") or 0) > SENTENCES * 0.9
