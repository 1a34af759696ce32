"""The browser's notifications: asked for by a click, and sent when what was submitted ends while nobody looks."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.console.browser import until
from tests.e2e.console.conftest import Console, NewConsole
from tests.e2e.console.test_jobs import frozen_worker
from tests.e2e.console.test_submit import FILES, MEETING, card, done

CHOICE = "Notify me when a transcription ends"
# The real notifications are made; the test only sees which.
REMEMBERED = """
  globalThis.shown = [];
  globalThis.Notification = class extends Notification {
    constructor(words, options) { super(words, options); shown.push(words); }
  };
"""
# A headless browser takes every page for one that is looked at.
HIDDEN = """(hidden) => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def test_nobody_is_asked_before_a_click_and_a_refusal_is_told(console: Console) -> None:
    console.page.add_init_script("""
      globalThis.asked = 0;
      const ask = Notification.requestPermission.bind(Notification);
      Notification.requestPermission = () => { asked += 1; return ask(); };
    """)
    page = console.open()
    choice = page.get_by_label(CHOICE)
    expect(choice).not_to_be_checked()
    assert page.evaluate("[asked, Notification.permission]") == [0, "default"]
    choice.click()  # nobody answers a headless browser's question: it is refused
    expect(page.get_by_text("does not allow notifications")).to_be_visible()
    expect(choice).not_to_be_checked()
    assert page.evaluate("asked") == 1


def test_what_ends_unseen_is_notified_and_what_ends_in_sight_is_not(new_console: NewConsole, tmp_path: Path) -> None:
    console = new_console(permissions=["notifications"])
    page = console.page
    page.add_init_script(REMEMBERED)
    console.open()
    page.get_by_label(CHOICE).check()
    page.reload()
    expect(page.get_by_label(CHOICE)).to_be_checked()
    paths = [tmp_path / name for name in ("seen.mp3", "one.mp3", "two.mp3", "alone.mp3")]
    for path in paths:
        path.write_bytes(MEETING.read_bytes())
    page.set_input_files(FILES, paths[0])
    done(page, "seen.mp3")
    assert page.evaluate("shown") == []
    with frozen_worker(console.service):
        page.set_input_files(FILES, paths[1:3])
        expect(page.locator("li.batch")).to_contain_text("0 of 2 completed")
        page.set_input_files(FILES, paths[3])
        expect(card(page, "alone.mp3")).to_contain_text("Queued")
        page.get_by_role("link", name="Settings").click()  # it need not be the page that shows them
        page.evaluate(HIDDEN, True)
    until(page, "shown.length === 2", seconds=240)
    assert set(page.evaluate("shown")) == {"2 recordings have been processed", "“alone.mp3” has been transcribed"}
