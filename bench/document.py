"""`python -m bench.document`: puts tables of `bench/results/*.json` into `docs/performance.md` and `docs/sizing.md`.

The first page has a section for each results file, between `<!-- results NAME -->` and `<!-- end -->`; the second
has one for figures derived from them, `<!-- sizing NAME -->`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import sizing
from bench.report import REPOSITORY, RESULTS, Column, Table

PAGE = REPOSITORY / "docs" / "performance.md"
SIZING = REPOSITORY / "docs" / "sizing.md"
PLACE = re.compile(r"(<!-- (results|sizing) (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Rewrite the pages."""
    for page in (PAGE, SIZING):
        page.write_text(filled(page.read_text("utf-8"), RESULTS), "utf-8")
    return 0


def filled(page: str, results: Path) -> str:
    """The page with the results filled in; a section without a results file stays unchanged."""

    def fill(found: re.Match[str]) -> str:
        path = results / f"{found[3]}.json"
        if not path.exists():
            return found[0]
        content = json.loads(path.read_text("utf-8"))
        return found[1] + (markdown(content) if found[2] == "results" else sizing.page_part(content)) + found[4]

    return PLACE.sub(fill, page)


def markdown(content: Mapping[str, Any]) -> str:
    """A results file as Markdown: figures with their targets, tables, and the measurement conditions."""
    parts = ["", _bars(content)]
    for described in content["tables"]:
        table = Table.from_json(described)
        named = f" (conditions {described['conditions'] + 1})" if len(content["conditions"]) > 1 else ""
        parts += [f"### {table.title}{named}", table.markdown()]
    return "\n\n".join([*parts, *_conditions(content["conditions"])]) + "\n\n"


def _conditions(sets: list[Mapping[str, Any]]) -> list[str]:
    """The conditions common to all sets once, then the differences of each."""
    if len(sets) == 1:
        return ["### Conditions", _listed(sets[0])]
    common = {name: value for name, value in sets[0].items() if all(other.get(name) == value for other in sets)}
    parts = ["### Conditions of all results", _listed(common)]
    for number, conditions in enumerate(sets, 1):
        own = {name: value for name, value in conditions.items() if name not in common}
        parts += [f"### Conditions {number}", _listed(own)]
    return parts


def _bars(content: Mapping[str, Any]) -> str:
    table = Table("", [Column("key", "figure"), Column("value", digits=3), Column("bar"), Column("held", digits=0)])
    words = {True: "yes", False: "no", None: None}
    for key, bar in content["bars"].items():
        limit = None if bar["bar"] is None else f"{'at most' if bar['at_most'] else 'at least'} {bar['bar']:,g}"
        table.add(key=f"`{key}`", value=content[key], bar=limit, held=words[bar["held"]])
    return table.markdown()


def _listed(conditions: Mapping[str, Any]) -> str:
    lines = []
    for name, value in conditions.items():
        text = ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else value
        lines.append(f"- {name}: {text}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
