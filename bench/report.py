"""The output of every benchmark: medians with their spread, and the conditions of measurement.

    report = Report("queue", conditions({"jobs": "10,000 of 1 s"}), warmup="100 jobs")
    table = report.table("Throughput", Column("name"), Column("jobs_per_second", digits=0))
    table.add(name="claim", jobs_per_second=spread([801.0, 790.5, 812.0]))     # median (least-most)
    report.bar("claims_per_second", 801.0, bar=500.0)                           # a key of the JSON, with its bar
    report.show()                                                                # rich tables on the terminal
    report.write()                                                               # bench/results/queue.json

Repeated measurements are given as `spread(values)`: at least three runs, except in a quick benchmark.
A value that could not be measured is `None` and is shown as "-"; the reason goes to `table.note(…)`.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from bench.machine import REPOSITORY as REPOSITORY
from bench.machine import cpu_flags, gpu, processor, revision, version

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "funasr", "numpy", "numba")


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeated measurements of one quantity: their median and range."""

    median: float
    least: float
    most: float
    runs: int

    def __str__(self) -> str:
        return self.text()

    def text(self, digits: int = 2) -> str:
        """`median (least-most)`; the median alone if there was one run."""
        middle = f"{self.median:,.{digits}f}"
        return middle if self.runs == 1 else f"{middle} ({self.least:,.{digits}f}-{self.most:,.{digits}f})"


Value = Spread | float | int | str | None


def spread(values: Iterable[float]) -> Spread:
    """The spread of at least one measurement."""
    numbers = sorted(values)
    return Spread(statistics.median(numbers), numbers[0], numbers[-1], len(numbers))


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the key of its values, its heading (by default the key), and the decimals of numbers."""

    key: str
    title: str = ""
    digits: int = 2


class Table:
    """Rows of measurements under a title, with notes below."""

    def __init__(self, title: str, columns: Sequence[Column]) -> None:
        self.title = title
        self.columns = tuple(columns)
        self.rows: list[dict[str, Value]] = []
        self.notes: list[str] = []

    def add(self, **values: Value) -> None:
        """Add a row by column; raises KeyError for a column that the table does not have."""
        unknown = values.keys() - {column.key for column in self.columns}
        if unknown:
            raise KeyError(f"{self.title} has no column {', '.join(sorted(unknown))}")
        self.rows.append(values)

    def note(self, text: str) -> None:
        """Add a note, for example why a contender has no numbers."""
        self.notes.append(text)

    def texts(self) -> list[list[str]]:
        """The cells formatted for people, row by row."""
        return [[cell(row.get(column.key), column.digits) for column in self.columns] for row in self.rows]

    def markdown(self) -> str:
        """The table as Markdown; the first column is text, the others are numbers."""
        titles = [column.title or column.key for column in self.columns]
        lines = [_row(titles), _row(["---"] + ["---:"] * (len(titles) - 1)), *map(_row, self.texts())]
        remarks = [f"\n{note}" for note in self.notes]
        return "\n".join([*lines, *remarks])

    def as_json(self) -> dict[str, Any]:
        """The rows in full precision; a spread becomes an object. `from_json` reads it."""
        rows = [{name: _plain(value) for name, value in row.items()} for row in self.rows]
        columns = [asdict(column) for column in self.columns]
        return {"title": self.title, "columns": columns, "rows": rows, "notes": self.notes}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Table:
        """Restore a table from the output of `as_json`."""
        table = cls(content["title"], [Column(**column) for column in content["columns"]])
        for row in content["rows"]:
            table.add(**{name: Spread(**value) if isinstance(value, dict) else value for name, value in row.items()})
        table.notes = list(content["notes"])
        return table


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure with a target: with `at_most` it must not exceed the bar, otherwise it must not fall below it."""

    value: float | None
    bar: float | None
    at_most: bool

    @property
    def held(self) -> bool | None:
        """Whether the bar is met; None without a figure or without a bar."""
        if self.value is None or self.bar is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar


@dataclass
class Report:
    """One benchmark's tables and figures; `name` is also the name of its file in `bench/results`."""

    name: str
    conditions: dict[str, Any]
    warmup: str
    tables: list[Table] = field(default_factory=list)
    bars: dict[str, Bar] = field(default_factory=dict)

    def table(self, title: str, *columns: Column) -> Table:
        """Append a new table."""
        made = Table(title, columns)
        self.tables.append(made)
        return made

    def bar(self, key: str, value: float | None, *, bar: float | None = None, at_most: bool = False) -> None:
        """Add a figure for other programs: a top-level key of the JSON file."""
        self.bars[key] = Bar(value, bar, at_most)

    def show(self, console: Console | None = None) -> None:
        """Print everything."""
        console = console or Console(width=max(Console().width, 140))
        for table in self.tables:
            console.print()
            console.print(_rich(table))
            for note in table.notes:
                console.print(f"  {note}", style="dim", markup=False, highlight=False)
        if self.bars:
            console.print()
            console.print(_rich(self._bars_table()))
        console.print()
        for name, value in {**self.conditions, "warm-up": self.warmup}.items():
            console.print(f"  {name}: {_in_words(value)}", markup=False, highlight=False)

    def write(self, directory: Path = RESULTS, *, keep: bool = False) -> Path:
        """Write the JSON file: figures by key, their bars, the conditions, and every row.

        With `keep`, results of an earlier run that this one did not measure are kept, with their earlier conditions:
        every bar and table carries the number of its conditions.
        """
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.name}.json"
        content = self._content(json.loads(path.read_text("utf-8")) if keep and path.exists() else {})
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
        fresh.replace(path)
        return path

    def _content(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """The content of this report after what is kept of an earlier file."""
        titles = {table.title for table in self.tables}
        tables = [table for table in before.get("tables", []) if table["title"] not in titles]
        bars = {key: bar for key, bar in before.get("bars", {}).items() if key not in self.bars}
        needed = sorted({item["conditions"] for item in (*tables, *bars.values())})
        places = {number: place for place, number in enumerate(needed)}
        conditions = [before["conditions"][number] for number in needed] + [{**self.conditions, "warm-up": self.warmup}]
        for item in (*tables, *bars.values()):
            item["conditions"] = places[item["conditions"]]
        own = len(conditions) - 1
        bars |= {
            key: {"bar": bar.bar, "at_most": bar.at_most, "held": bar.held, "conditions": own}
            for key, bar in self.bars.items()
        }
        values = {key: before[key] for key in bars if key in before}
        values |= {key: bar.value for key, bar in self.bars.items()}
        tables += [{**table.as_json(), "conditions": own} for table in self.tables]
        return {**values, "bars": bars, "conditions": conditions, "tables": tables}

    def _bars_table(self) -> Table:
        table = Table("Bars", [Column("key"), Column("value", digits=3), Column("bar", digits=2), Column("held")])
        words = {True: "yes", False: "NO", None: None}
        for key, bar in self.bars.items():
            table.add(key=key, value=bar.value, bar=bar.bar, held=words[bar.held])
        return table


def cell(value: Value, digits: int = 2) -> str:
    """A value formatted for people."""
    if value is None:
        return "-"
    if isinstance(value, Spread):
        return value.text(digits)
    if isinstance(value, float):
        return f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else value


def conditions(more: Mapping[str, Any], packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """The measurement conditions: the machine, the versions, the load of the machine, and `more`."""
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{processor()}, {os.cpu_count()} cores ({', '.join(cpu_flags()) or 'no AVX2'})",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "gpu": gpu(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": {name: version(name) for name in packages},
        "revision": revision(),
        "load before": round(os.getloadavg()[0], 2),
        **more,
    }


def _rich(table: Table) -> RichTable:
    made = RichTable(title=table.title, title_justify="left", title_style="bold", header_style="")
    for place, column in enumerate(table.columns):
        made.add_column(column.title or column.key, justify="left" if place == 0 else "right", overflow="fold")
    for texts in table.texts():
        made.add_row(*texts)
    return made


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def _plain(value: Value) -> Any:
    if isinstance(value, Spread):
        return {name: getattr(value, name) for name in ("median", "least", "most", "runs")}
    return value


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text}" for name, text in value.items())
    return str(value)
