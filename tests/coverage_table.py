"""A short table of branch coverage at the end of `make test`: a row for each package, and the files hardly reached.

Only the processes of pytest are measured. What tests run in processes of their own (services that they kill, the
decoder's child, commands) does not count.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import coverage

LOW = 0.5
MOST_NAMED = 25


@dataclass
class Row:
    """Lines and branches of some files, and how many of them ran."""

    lines: int = 0
    lines_run: int = 0
    branches: int = 0
    branches_run: int = 0

    def add(self, summary: Mapping[str, int]) -> None:
        """Add one file."""
        self.lines += summary["num_statements"]
        self.lines_run += summary["covered_lines"]
        self.branches += summary["num_branches"]
        self.branches_run += summary["covered_branches"]

    @property
    def share(self) -> float:
        """Lines and branches together, as coverage counts them."""
        return (self.lines_run + self.branches_run) / max(1, self.lines + self.branches)


def table(summaries: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """The lines of the table, from the summary of each file."""
    packages: dict[str, Row] = defaultdict(Row)
    low: list[tuple[float, str]] = []
    for name, summary in summaries.items():
        one = Row()
        one.add(summary)
        for package in (_package(name), "all"):
            packages[package].add(summary)
        if one.lines and one.share < LOW:
            low.append((one.share, name))
    yield f"{'package':32} {'lines':>7} {'run':>6} {'branches':>9} {'run':>6}"
    for package, row in sorted(packages.items(), key=lambda item: (item[0] == "all", item[0])):
        lines, branches = row.lines_run / max(1, row.lines), row.branches_run / max(1, row.branches)
        yield f"{package:32} {row.lines:7} {lines:6.0%} {row.branches:9} {branches:6.0%}"
    yield "Measured in the processes of pytest only, not in those that tests start."
    if low:
        named = ", ".join(f"{name} {share:.0%}" for share, name in sorted(low)[:MOST_NAMED])
        yield f"{len(low)} files below {LOW:.0%}, the lowest: {named}"


def _package(name: str) -> str:
    return "/".join(PurePath(name).parts[:-1][:3])


def measured(data_file: Path) -> dict[str, dict[str, int]]:
    """The summary of each file, by its path, of what a run has measured."""
    read = coverage.Coverage(data_file=str(data_file))
    read.load()
    with tempfile.NamedTemporaryFile("r", suffix=".json") as report:
        read.json_report(outfile=report.name, ignore_errors=True)
        files = json.load(report)["files"]
    return {name: file["summary"] for name, file in files.items()}
