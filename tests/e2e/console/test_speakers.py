"""Speakers in the console: colours, a legend with shares, and names that are changed in their place."""

from __future__ import annotations

from dataclasses import replace

from playwright.sync_api import expect

from common import jobs
from common.db import Database
from common.jobs import Attributed, Finished
from common.options.transcription import TranscriptionOptions
from common.transcript.values import Part
from tests.db.job_cases import claimed, submitted
from tests.e2e.console.conftest import Console
from tests.e2e.console.transcripts import MODEL, sentence
from tests.e2e.service import Service


def test_turns_have_colours_and_speakers_are_named_in_place(console: Console, service: Service) -> None:
    said = [replace(sentence("甲乙丙", 1000 * n), speaker=speaker) for n, speaker in enumerate((1, 1, 2, 1))]
    database = Database(service.settings.sqlalchemy_url, 2)
    try:
        asked = submitted(database, model=MODEL, options=TranscriptionOptions(speakers=True))
        held = claimed(database, asked)
        done = Finished("demo-zh", "r1", "fp32", 1, 5_000, 500, no_speech=False)
        last = Part(0, 0, 5_000, tuple(said), b"", True)
        attributed = Attributed([[item] for item in said])
        jobs.complete(database, held, last, done, first_sentence=0, stage_ms={}, attributed=attributed)
        console.complaints.allow("410")  # there is no recording
        page = console.open(f"#/t/{held.job.public_id}")
        expect(page.locator(".speaker-name")).to_have_text(["Speaker 1", "Speaker 2", "Speaker 1"])
        expect(page.locator(".speaker-entry").first).to_contain_text("75")
        rows = page.locator(".sentence").evaluate_all("all => all.map((row) => getComputedStyle(row).borderLeftColor)")
        assert rows[0] == rows[1] == rows[3] != rows[2]
        page.get_by_role("button", name="Rename Speaker 2").click()
        page.get_by_label("Name of the speaker").fill("王芳")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".speaker-name")).to_have_text(["Speaker 1", "王芳", "Speaker 1"])
        speakers = jobs.speakers(database, jobs.get(database, held.job.id))
        assert speakers is not None
        assert speakers[1].name == "王芳"
        page.get_by_role("button", name="Rename Speaker 1").click()
        page.get_by_label("Same person as").select_option(label="王芳")
        page.get_by_label("Same person as").select_option(label="Same person as…")
        expect(page.get_by_role("button", name="Merge speakers")).to_have_count(0)
        page.get_by_label("Same person as").select_option(label="王芳")
        expect(page.locator(".speaker-entry")).to_have_count(2)
        page.get_by_role("button", name="Merge speakers").click()
        expect(page.locator(".speaker-entry")).to_have_count(1)
        expect(page.locator(".speaker-name")).to_have_text(["王芳"])
    finally:
        database.close()
