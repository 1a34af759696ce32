"""Scrolling through a long transcript: what the browser does for it, counted; and as a benchmark, how long it takes.

`python -m tests.e2e.console.scrolling` prints times of this machine and writes bench/results/console.json. Tests look
at the counts alone: those are the same on a slow machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from bench.report import Column, Report, conditions, spread
from tests.db.webhook_cases import KEY
from tests.e2e.console.browser import HOW_TO_GET_IT, chromium_path, running, sign_in
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.service import fresh_service
from tests.servers import ADMIN_KEY, running_postgres

SENTENCES = 8_000
STEPS = 200
DESKTOP = {"width": 1280, "height": 860}
# 150 steps of a screen, then 50 quick ones back.
SCROLL = """async () => {
  const times = [];
  const holes = [];
  let last = performance.now();
  let inserted = 0;
  let [mostRows, mostNodes] = [0, 0];
  const observer = new MutationObserver((records) => {
    for (const record of records)
      for (const node of record.addedNodes) if (node.matches?.('[data-row]')) inserted += 1;
  });
  observer.observe(document.querySelector('.long'), { childList: true });
  for (let step = 0; step < 200; step += 1) {
    scrollBy({ top: step < 150 ? 800 : -2400, behavior: 'instant' });
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - last);
    mostRows = Math.max(mostRows, document.querySelectorAll('[data-row]').length);
    mostNodes = Math.max(mostNodes, document.querySelectorAll('*').length);
    if (step % 20 === 19) {
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
      if (!document.elementFromPoint(innerWidth / 2, innerHeight - 60)?.closest('[data-row]')) holes.push(step);
    }
    last = performance.now();
  }
  observer.disconnect();
  times.sort((a, b) => a - b);
  return { p50: times[100], p95: times[190], longest: times[199], holes, inserted, mostRows, mostNodes };
}"""


@dataclass(frozen=True)
class Scrolled:
    """What 200 steps through a transcript took of the browser."""

    frame_ms: tuple[float, float, float]
    """Median, 95th percentile and the longest frame."""
    work_ms: float
    """Processor time of the page's thread, per step."""
    holes: list[int]
    """Steps after which the screen showed no sentence."""
    rows_inserted: int
    most_rows: int
    most_nodes: int
    layouts: int
    """How often the browser computed the layout, forced or by itself."""
    style_recalculations: int
    heap_mebibytes: float
    """JavaScript objects that are still in use afterwards."""


def scroll(page: Page) -> Scrolled:
    """Scroll the transcript that is open."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _metrics(session)
    measured: dict[str, Any] = page.evaluate(SCROLL)
    after = _metrics(session)
    session.send("HeapProfiler.collectGarbage")
    heap = _metrics(session)["JSHeapUsedSize"]
    session.detach()
    return Scrolled(
        frame_ms=(measured["p50"], measured["p95"], measured["longest"]),
        work_ms=1000 * (after["TaskDuration"] - before["TaskDuration"]) / STEPS,
        holes=measured["holes"],
        rows_inserted=measured["inserted"],
        most_rows=measured["mostRows"],
        most_nodes=measured["mostNodes"],
        layouts=int(after["LayoutCount"] - before["LayoutCount"]),
        style_recalculations=int(after["RecalcStyleCount"] - before["RecalcStyleCount"]),
        heap_mebibytes=heap / 2**20,
    )


def _metrics(session: Any) -> dict[str, float]:
    return {item["name"]: float(item["value"]) for item in session.send("Performance.getMetrics")["metrics"]}


@contextmanager
def opened(place: Path) -> Iterator[Page]:
    """A page with a transcript of five hours, in a browser and a service of its own."""
    with (
        running_postgres(place) as postgres,
        fresh_service(postgres, place, secret_key=KEY) as service,
        running() as browser,
    ):
        context = browser.new_context(viewport=DESKTOP, locale="en-US")  # type: ignore[arg-type]
        sign_in(context, service.url, ADMIN_KEY)
        page = context.new_page()
        job = put(service.settings, spoken(SENTENCES, 5), name="five hours.mp3")
        page.goto(f"{service.url}/#/t/{job.public_id}")
        page.locator(f'[aria-setsize="{SENTENCES}"]').first.wait_for()
        yield page


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.console.scrolling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often the transcript is scrolled through (5)")
    options = parser.parse_args()
    if not chromium_path():
        print(HOW_TO_GET_IT, file=sys.stderr)
        return 1
    where = {
        "browser": "headless Chromium",
        "transcript": f"{SENTENCES:,} sentences, 80,000 words",
        "steps": str(STEPS),
    }
    report = Report("console", conditions(where, ()), "one round")
    with tempfile.TemporaryDirectory(prefix="paraqueue-console-") as place:
        Path(place).chmod(0o711)  # PostgreSQL runs as another user than root
        with opened(Path(place)) as page:
            scroll(page)
            page.evaluate("scrollTo(0, 0)")
            rounds = []
            for _ in range(options.rounds):
                rounds.append(scroll(page))
                page.evaluate("scrollTo(0, 0)")
    table = report.table("Scrolling through five hours", Column("what"), Column("value", "median (least-most)"))
    for name, values in _figures(rounds).items():
        table.add(what=name, value=spread(values))
    report.show()
    print(report.write())
    return 0


def _figures(rounds: list[Scrolled]) -> dict[str, list[float]]:
    return {
        "frame, median (ms)": [one.frame_ms[0] for one in rounds],
        "frame, 95th percentile (ms)": [one.frame_ms[1] for one in rounds],
        "frame, longest (ms)": [one.frame_ms[2] for one in rounds],
        "main thread per step (ms)": [one.work_ms for one in rounds],
        "layouts per step": [one.layouts / STEPS for one in rounds],
        "rows inserted per step": [one.rows_inserted / STEPS for one in rounds],
        "nodes in the page at most": [one.most_nodes for one in rounds],
        "JavaScript heap (MiB)": [one.heap_mebibytes for one in rounds],
    }


if __name__ == "__main__":
    sys.exit(main())
