"""The table of coverage counts lines and branches of each package, and names the files that tests hardly reach."""

from __future__ import annotations

from tests.coverage_table import table


def summary(lines: int, run: int, branches: int, branches_run: int) -> dict[str, int]:
    return {
        "num_statements": lines,
        "covered_lines": run,
        "num_branches": branches,
        "covered_branches": branches_run,
    }


def test_packages_are_summed_and_hardly_tested_files_named() -> None:
    rows = list(
        table(
            {
                "api/auth/gate.py": summary(10, 10, 4, 4),
                "api/auth/tokens.py": summary(10, 4, 4, 2),
                "worker/metrics.py": summary(20, 20, 0, 0),
                "api/__init__.py": summary(0, 0, 0, 0),
            }
        )
    )
    cells = {row.split()[0]: row.split()[1:] for row in rows}
    assert cells["api/auth"] == ["20", "70%", "8", "75%"]
    assert cells["worker"] == ["20", "100%", "0", "0%"]
    assert cells["all"] == ["40", "85%", "8", "75%"]
    assert rows[-1] == "1 files below 50%, the lowest: api/auth/tokens.py 43%"
