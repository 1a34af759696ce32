"""Five hours: 8,000 sentences, 80,000 words, of which only those in sight are drawn."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from common.jobs import Job
from tests.e2e.console.conftest import Console
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.service import Service

SENTENCES = 8_000
# 150 steps of a screen, then 50 quick ones back; each frame is timed.
SCROLL = """async () => {
  const times = [];
  let last = performance.now();
  const holes = [];
  for (let step = 0; step < 200; step += 1) {
    scrollBy({ top: step < 150 ? 800 : -2400, behavior: 'instant' });
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - last);
    last = now;
    if (step % 20 === 19) {
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
      if (!document.elementFromPoint(innerWidth / 2, innerHeight - 60)?.closest('[data-row]')) holes.push(step);
      last = performance.now();
    }
  }
  times.sort((a, b) => a - b);
  return {
    p50: times[100], p95: times[190], most: times[199], holes,
    nodes: document.querySelectorAll('*').length,
    heap: performance.memory.usedJSHeapSize / 2 ** 20,
  };
}"""
# Frames of a page on which nothing moves: how busy the machine is with other things.
REST = """async () => {
  const times = [];
  let last = performance.now();
  for (let step = 0; step < 60; step += 1) {
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - last);
    last = now;
  }
  return times.sort((a, b) => a - b)[56];
}"""
# Twenty frames a second, on two cores that other tests use too (measured: 35 to 40 ms); on a machine where a page at
# rest has no more than fifty, that many less.
LONGEST_MS = 50.0
RESTING_MS = 20.0
MOST_NODES = 2_500
MOST_MEBIBYTES = 120


@pytest.fixture(scope="module")
def job(service: Service) -> Job:
    said = spoken(SENTENCES, 5)
    assert sum(len(item.words) for item in said) > 80_000
    assert said[-1].end_ms > 5 * 3600 * 1000 * 0.99
    return put(service.settings, said, name="five hours.mp3")


@pytest.fixture
def page(console: Console, job: Job) -> Page:
    console.complaints.allow("410")
    page = console.open(f"#/t/{job.public_id}")
    page.locator(f'[aria-setsize="{SENTENCES}"]').first.wait_for()
    return page


def test_it_scrolls_smoothly_in_little_memory(page: Page) -> None:
    longest_ms = LONGEST_MS + max(0.0, float(page.evaluate(REST)) - RESTING_MS)
    tries: list[dict[str, Any]] = []
    # A neighbour's burst of work is not ours: the best of three counts.
    for _ in range(3):
        tries.append(page.evaluate(SCROLL))
        if tries[-1]["p95"] < longest_ms:
            break
    print(tries)
    best = min(tries, key=lambda found: float(found["p95"]))
    assert best["p95"] < longest_ms, tries
    assert best["holes"] == []
    assert best["nodes"] < MOST_NODES
    assert best["heap"] < MOST_MEBIBYTES


def test_the_ends_and_the_middle_are_a_key_away_and_the_focus_stays(page: Page) -> None:
    page.locator('[data-row="0"]').focus()
    page.keyboard.press("End")
    last = page.locator(f'[data-row="{SENTENCES - 1}"]')
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport()
    page.keyboard.press("ArrowUp")
    expect(page.locator(f'[data-row="{SENTENCES - 2}"]')).to_be_focused()
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    page.wait_for_timeout(200)
    assert page.evaluate("document.activeElement.dataset.row") == str(SENTENCES - 2), "drawn, though far out of sight"
    page.keyboard.press("Home")
    expect(page.locator('[data-row="0"]')).to_be_focused()
    expect(page.locator('[data-row="0"]')).to_be_in_viewport()


def test_the_page_stands_still_where_it_was_scrolled_to(page: Page) -> None:
    """Rows above turn out higher than guessed; what somebody reads must not move."""
    page.evaluate("scrollTo(0, 200000)")
    page.wait_for_timeout(300)
    row = page.locator("[data-row]").nth(15)
    number = row.get_attribute("data-row")
    places = []
    for _ in range(6):
        page.mouse.move(600, 600)
        page.mouse.wheel(0, -40)
        page.wait_for_timeout(100)
        box = page.locator(f'[data-row="{number}"]').bounding_box()
        assert box is not None
        places.append(box["y"])
    steps = [after - before for before, after in itertools.pairwise(places)]
    assert all(abs(step - 40) < 3 for step in steps), steps


def test_words_are_found_anywhere_in_it(page: Page) -> None:
    page.keyboard.press("/")
    page.get_by_label("Find in this transcript").fill("kubernetes")
    expect(page.locator("mark.chosen")).to_be_in_viewport()
    page.keyboard.press("Shift+Enter")  # the last one
    expect(page.locator("mark.chosen")).to_be_in_viewport()
    assert int(page.locator("[data-row]:has(mark.chosen)").get_attribute("data-row") or 0) > SENTENCES * 0.9
