"""Five hours: 8,000 sentences, 80,000 words, of which only those in sight are drawn."""

from __future__ import annotations

import itertools
import os
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
# Twenty frames a second; measured on two cores that do nothing else: 35 to 40 ms.
LONGEST_MS = 50.0
# What the page itself does for a frame, in processor time: says the same on a machine that is busy with other things.
# Measured: 15 ms, of it 5 in scripts.
MOST_WORK_MS = 25.0
MOST_NODES = 2_500
MOST_MEBIBYTES = 120
# So many that want to run for each core: then how long a frame takes says nothing of the page.
BUSY = 1.5


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
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def worked_ms() -> float:
        told = session.send("Performance.getMetrics")["metrics"]
        return float(next(item["value"] for item in told if item["name"] == "TaskDuration")) * 1000

    busy = os.getloadavg()[0] > BUSY * (os.cpu_count() or 1)
    tries: list[dict[str, Any]] = []
    for _ in range(1 if busy else 3):
        before = worked_ms()
        tries.append(page.evaluate(SCROLL))
        tries[-1]["work"] = (worked_ms() - before) / 200
        if tries[-1]["p95"] < LONGEST_MS:
            break
    print(tries)
    best = min(tries, key=lambda found: float(found["p95"]))
    assert best["work"] < MOST_WORK_MS
    assert best["holes"] == []
    assert best["nodes"] < MOST_NODES
    assert best["heap"] < MOST_MEBIBYTES
    if not busy:
        assert best["p95"] < LONGEST_MS, tries


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
