"""Results as a page of documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import sizing
from bench.document import PAGE, SIZING, filled
from bench.report import RESULTS, Column, Report, spread


def test_results_take_their_place_in_a_page(tmp_path: Path) -> None:
    report = Report("trial", {"machine": "this", "packages": {"torch": "2"}}, warmup="none")
    report.table("Speed", Column("who"), Column("wall", digits=1)).add(who="ours", wall=spread([1.0, 2.0, 3.0]))
    report.bar("ratio", 1.5, bar=1.7)
    report.write(tmp_path)
    page = "before\n<!-- results trial -->\nold\n<!-- end -->\nafter <!-- results none -->\nkept\n<!-- end -->\n"
    made = filled(page, tmp_path)
    assert made.startswith("before\n")
    assert "old" not in made
    assert "kept" in made
    assert "| ours | 2.0 (1.0-3.0) |" in made
    assert "| `ratio` | 1.500 | at least 1.7 | no |" in made
    assert "- packages: torch 2" in made
    assert filled(made, tmp_path) == made


def test_a_page_leaves_out_details_and_what_was_not_measured(tmp_path: Path) -> None:
    report = Report("trial", {"machine": "this", "took": "9 s"}, warmup="none")
    whole = report.table("Whole pipeline", Column("who"), Column("wall", digits=1), Column("gpu"), Column("padding"))
    whole.add(who="ours", wall=2.0, padding=1.5)
    report.table("Time per stage", Column("who"), Column("encoder")).add(who="ours", encoder=7.0)
    report.bar("ratio", 1.5, bar=1.7)
    report.bar("ratio_by_cpu", 1.25)
    report.write(tmp_path)
    made = filled("<!-- results trial -->\n<!-- end -->\n", tmp_path)
    assert "| who | wall |\n| --- | ---: |\n| ours | 2.0 |" in made
    assert "Time per stage" not in made
    assert "- machine: this" in made
    assert "took" not in made
    assert "`ratio`" in made
    assert "`ratio_by_cpu`" not in made


@pytest.mark.parametrize("path", [PAGE, SIZING], ids=lambda path: path.name)
def test_the_pages_show_the_results_that_are_stored(path: Path) -> None:
    page = path.read_text("utf-8")
    assert "<!-- results engine -->" in page or "<!-- sizing engine -->" in page
    assert filled(page, RESULTS) == page, "python -m bench.document writes it anew"


def test_hours_a_day_follow_from_processor_time() -> None:
    def row(contender: str, cpu: float) -> dict[str, object]:
        return {"contender": contender, "audio": "8 x 20 s", "cpu": {"median": cpu}, "rss": 100.0}

    content = {
        "conditions": [{"processor": "this one", "memory": "1 GiB", "measured": "today", "gpu": "none"}],
        "tables": [
            {
                "title": "Whole pipeline, 8 files",
                "conditions": 0,
                "rows": [row(name, 16.0) for name in sizing.ENGINE.values()],
            },
            {"title": "Whole service, fp32", "conditions": 0, "rows": [row(sizing.SERVICE, 32.0)]},
        ],
    }
    made = sizing.page_part(content)
    assert "| fp32 | 360 | 240 | 144 | 100 |" in made, "a tenth of real time: 240 hours in 24"
    assert "| fp32, as a worker of the whole service | 720 | 120 | 72 | 100 |" in made
    assert "Measured on this one, 1 GiB, today, audio: 8 x 20 s, GPU: none." in made
