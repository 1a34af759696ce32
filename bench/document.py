"""`python -m bench.document`: puts tables of `bench/results/*.json` into `docs/performance.md` and `docs/sizing.md`.

The first page has a section for each results file, between `<!-- results NAME -->` and `<!-- end -->`; the second
has one for figures derived from them, `<!-- sizing NAME -->`. Details of interest only to whoever works on the engine
stay in the results files.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bench import sizing
from bench.report import REPOSITORY, RESULTS, Column, Table

PAGE = REPOSITORY / "docs" / "performance.md"
SIZING = REPOSITORY / "docs" / "sizing.md"
# Tables and columns, by the beginning of the tables' titles, and conditions that the page leaves out.
LEFT_OUT_TABLES = ("Same text", "Python per word", "Time per stage", "Submit → a worker starts")
LEFT_OUT_COLUMNS: Mapping[str, Collection[str]] = {
    "Single long files": {"wall", "cpu", "padding", "idle", "words"},
    "Whole": {"audio", "padding", "idle"},
    "Highest rate": {"client"},
}
LEFT_OUT_CONDITIONS = {"device", "load after", "took"}
PLACE = re.compile(r"(<!-- (results|sizing) (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Rewrite the pages."""
    for page in (PAGE, SIZING):
        page.write_text(filled(page.read_text("utf-8"), RESULTS), "utf-8")
    return 0


def filled(page: str, results: Path) -> str:
    """The page with the results filled in; a section without a results file stays unchanged."""

    def fill(match: re.Match[str]) -> str:
        path = results / f"{match[3]}.json"
        if not path.exists():
            return match[0]
        content = json.loads(path.read_text("utf-8"))
        return match[1] + (markdown(content) if match[2] == "results" else sizing.page_part(content)) + match[4]

    return PLACE.sub(fill, page)


def markdown(content: Mapping[str, Any]) -> str:
    """A results file as Markdown: figures with their targets, tables, and the measurement conditions."""
    parts = [_bars(content)]
    for described in content["tables"]:
        table = Table.from_json(described)
        if table.title.startswith(LEFT_OUT_TABLES):
            continue
        named = f" (conditions {described['conditions'] + 1})" if len(content["conditions"]) > 1 else ""
        parts += [f"### {table.title}{named}", _shown_columns(table).markdown()]
    return "\n" + "\n\n".join([part for part in parts if part] + _conditions(content["conditions"])) + "\n\n"


def _conditions(sets: list[Mapping[str, Any]]) -> list[str]:
    """The conditions common to all sets as a list, the others as a table; `same` is the value of the column before."""
    if len(sets) == 1:
        return ["### Conditions", _listed(sets[0])]
    names = dict.fromkeys(name for conditions in sets for name in conditions if name not in LEFT_OUT_CONDITIONS)
    common = {
        name: sets[0][name]
        for name in names
        if all(name in other and other[name] == sets[0].get(name) for other in sets)
    }
    columns = [Column("name", "condition"), *(Column(str(number)) for number in range(1, len(sets) + 1))]
    table = Table("", columns)
    for name in names:
        if name not in common:
            texts = [_text(one.get(name)) for one in sets]
            cells = ["same" if at and text == texts[at - 1] else text for at, text in enumerate(texts)]
            table.add(name=name, **{str(number): cell for number, cell in enumerate(cells, 1)})
    return ["### Conditions", _listed(common), table.markdown()]


def _shown_columns(table: Table) -> Table:
    """The table without columns that the page leaves out, and those in which no row has a value."""
    left_out = {key for title, keys in LEFT_OUT_COLUMNS.items() if table.title.startswith(title) for key in keys}
    empty = {column.key for column in table.columns if all(row.get(column.key) is None for row in table.rows)}
    columns = [column for column in table.columns if column.key not in left_out | empty]
    shown = Table(table.title, columns)
    names = {column.key for column in columns}
    shown.rows = [{name: value for name, value in row.items() if name in names} for row in table.rows]
    shown.notes = table.notes
    return shown


def _bars(content: Mapping[str, Any]) -> str:
    """The figures that have a target; the others follow from the tables."""
    table = Table("", [Column("key", "figure"), Column("value", digits=3), Column("bar"), Column("held", digits=0)])
    words = {True: "yes", False: "no", None: None}
    for key, bar in content["bars"].items():
        if bar["bar"] is not None:
            limit = f"{'at most' if bar['at_most'] else 'at least'} {bar['bar']:,g}"
            table.add(key=f"`{key}`", value=content[key], bar=limit, held=words[bar["held"]])
    return table.markdown() if table.rows else ""


def _listed(conditions: Mapping[str, Any]) -> str:
    return "\n".join(
        f"- {name}: {_text(value)}" for name, value in conditions.items() if name not in LEFT_OUT_CONDITIONS
    )


def _text(value: Any) -> str:
    return ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else str(value or "-")


if __name__ == "__main__":
    sys.exit(main())
