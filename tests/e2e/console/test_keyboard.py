"""A whole task without the mouse: 20 sentences corrected, the transcription renamed, its text downloaded."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import Console
from tests.e2e.console.transcripts import put, sentence
from tests.e2e.service import Service

COUNT = 20
WRONG = "今天开会讨论预算"
# Measured: 1 to begin, 40 for one letter in each sentence and on to the next, 30 to rename (3 letters) and to download.
MOST_KEYSTROKES = 75


@dataclass
class Keyboard:
    """Presses keys and counts them; a combination such as Alt+N counts as one."""

    page: Page
    strokes: int = 0

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.strokes += 1

    def type(self, text: str) -> None:
        for letter in text:
            self.page.keyboard.type(letter)
            self.strokes += 1

    def walk(self, key: str, to: str, most: int = 40) -> None:
        """Press a key until the focus is on what these words name."""
        named = "document.activeElement.ariaLabel || document.activeElement.textContent.trim()"
        for _ in range(most):
            if str(self.page.evaluate(named)).startswith(to):
                return
            self.press(key)
        raise AssertionError(f"{to!r} was not reached by {key}")


def test_corrected_renamed_and_downloaded_by_keys_alone(console: Console, service: Service) -> None:
    console.complaints.allow("410")  # there is no recording
    said = [sentence(WRONG, 3000 * number, low=2 + number % 4) for number in range(COUNT)]
    job = put(service.settings, said, name="a.mp3")
    page = console.open(f"#/t/{job.public_id}")
    expect(page.locator('[data-row="0"]')).to_be_visible()
    keys = Keyboard(page)

    keys.press("n")
    for number in range(COUNT):
        expect(page.locator(f'[data-row="{number}"] textarea')).to_be_focused()
        keys.type("改")
        keys.press("Alt+n" if number < COUNT - 1 else "Shift+Enter")
    expect(page.locator(f'[data-row="{COUNT - 1}"]')).to_be_focused()
    lines = service.client.get(f"/v1/transcriptions/{job.public_id}/transcript", params={"format": "txt"}).text
    corrected = [f"{WRONG[: 2 + n % 4]}改{WRONG[3 + n % 4 :]}。" for n in range(COUNT)]
    assert lines.splitlines() == corrected

    keys.walk("Shift+Tab", "Rename or tag")
    keys.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("Name", exact=True)).to_be_focused()
    keys.type("预算会")
    keys.press("Enter")
    expect(page.locator("h1")).to_have_text("预算会")
    expect(page.get_by_role("dialog")).to_have_count(0)

    keys.walk("Tab", "docx")
    with page.expect_download() as download:
        keys.press("Enter")
    assert download.value.suggested_filename == "预算会.docx"
    print(f"{keys.strokes} keystrokes")
    assert keys.strokes <= MOST_KEYSTROKES
