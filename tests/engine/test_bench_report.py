"""What a benchmark prints and writes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bench.report import Column, Report, conditions, spread


def made() -> Report:
    report = Report("trial", conditions({"audio": "10 min"}), warmup="one file")
    table = report.table("Speed", Column("name", "contender"), Column("wall", "wall, s"), Column("jobs", digits=0))
    table.add(name="ours", wall=spread([3.0, 1.0, 2.0]), jobs=12_345)
    table.add(name="peer", wall=None)
    table.note("peer: refused the model")
    report.bar("ratio", 1.8, bar=1.7)
    report.bar("overhead", 0.08, bar=0.05, at_most=True)
    report.bar("unmeasured", None, bar=1.0)
    return report


def test_a_spread_tells_the_median_and_how_far_the_runs_lie_apart() -> None:
    assert spread([3.0, 1.0, 2.0]).text() == "2.00 (1.00-3.00)"
    assert spread([1.0, 2.0]).median == 1.5
    assert spread([2.0]).text(1) == "2.0"


def test_a_table_shows_what_was_measured_and_what_was_not() -> None:
    table = made().tables[0]
    assert table.texts() == [["ours", "2.00 (1.00-3.00)", "12,345"], ["peer", "-", "-"]]
    assert table.markdown().splitlines()[:2] == ["| contender | wall, s | jobs |", "| --- | ---: | ---: |"]
    assert "peer: refused the model" in table.markdown()
    with pytest.raises(KeyError, match="wal"):
        table.add(name="ours", wal=1.0)


def test_the_file_has_figures_bars_conditions_and_rows(tmp_path: Path) -> None:
    content = json.loads(made().write(tmp_path).read_text("utf-8"))
    assert content["ratio"] == 1.8
    assert content["unmeasured"] is None
    assert {key: bar["held"] for key, bar in content["bars"].items()} == {
        "ratio": True,
        "overhead": False,
        "unmeasured": None,
    }
    assert content["conditions"][0]["audio"] == "10 min"
    assert content["conditions"][0]["warm-up"] == "one file"
    assert content["tables"][0]["rows"][0]["wall"] == {"median": 2.0, "least": 1.0, "most": 3.0, "runs": 3}


def test_the_terminal_shows_tables_bars_and_conditions() -> None:
    out = io.StringIO()
    made().show(Console(file=out, width=140))
    for wanted in (
        "contender",
        "2.00 (1.00-3.00)",
        "refused the model",
        "overhead",
        "NO",
        "audio: 10 min",
        "processor",
    ):
        assert wanted in out.getvalue()


def test_a_part_measured_again_leaves_the_other_parts_with_their_conditions(tmp_path: Path) -> None:
    made().write(tmp_path)
    later = Report("trial", conditions({"audio": "1 h"}), warmup="none")
    later.table("Memory", Column("what")).add(what="peak")
    later.bar("overhead", 0.01, bar=0.05, at_most=True)
    content = json.loads(later.write(tmp_path, keep=True).read_text("utf-8"))
    assert (content["ratio"], content["overhead"]) == (1.8, 0.01)
    audio = [conditions["audio"] for conditions in content["conditions"]]
    assert audio == ["10 min", "1 h"]
    assert content["bars"]["ratio"]["conditions"] == 0
    assert content["bars"]["overhead"] == {"bar": 0.05, "at_most": True, "held": True, "conditions": 1}
    assert [(table["title"], table["conditions"]) for table in content["tables"]] == [("Speed", 0), ("Memory", 1)]
    assert "ratio" not in json.loads(later.write(tmp_path).read_text("utf-8"))
