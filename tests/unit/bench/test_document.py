"""Results as a page of documentation."""

from __future__ import annotations

from pathlib import Path

from bench.document import PAGE, filled
from bench.report import RESULTS, Column, Report, spread


def test_results_take_their_place_in_a_page(tmp_path: Path) -> None:
    report = Report("trial", {"machine": "this", "packages": {"torch": "2"}}, warmup="none")
    report.table("Speed", Column("who"), Column("wall", digits=1)).add(who="ours", wall=spread([1.0, 2.0, 3.0]))
    report.bar("ratio", 1.5, bar=1.7)
    report.write(tmp_path)
    page = "before\n<!-- results trial -->\nold\n<!-- end -->\nafter <!-- results none -->\nkept\n<!-- end -->\n"
    made = filled(page, tmp_path)
    assert made.startswith("before\n") and "old" not in made and "kept" in made
    assert "| ours | 2.0 (1.0-3.0) |" in made
    assert "| `ratio` | 1.500 | at least 1.7 | no |" in made
    assert "- packages: torch 2" in made
    assert filled(made, tmp_path) == made


def test_the_page_shows_the_results_that_are_stored() -> None:
    page = PAGE.read_text("utf-8")
    assert filled(page, RESULTS) == page, "python -m bench.document writes it anew"
