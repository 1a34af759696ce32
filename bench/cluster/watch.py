"""What PostgreSQL did meanwhile: by statement, by wait, by table, and in processor time."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

import psycopg

SAMPLE_SECONDS = 0.1
SAMPLE = """
SELECT coalesce(wait_event_type || ': ' || wait_event, 'running'), count(*) FROM pg_stat_activity
WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1
"""
STATEMENTS = """
SELECT query, calls, total_exec_time, total_plan_time, rows, wal_bytes::float8 FROM pg_stat_statements
JOIN pg_database ON pg_database.oid = dbid WHERE datname = current_database()
"""
UPDATES = """
SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname IN ('jobs', 'workers')
"""
HAS_STATEMENTS = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'"


@dataclass(frozen=True, slots=True)
class Statement:
    """One kind of statement: calls, milliseconds of execution and planning in all, rows, and bytes of WAL."""

    query: str
    calls: int
    execution_ms: float
    planning_ms: float
    rows: int
    wal_bytes: float

    @property
    def label(self) -> str:
        """The beginning of the statement in one line, with the tables that it touches if they come later."""
        return shortened(self.query)


@dataclass(frozen=True, slots=True)
class Seen:
    """Statements, the most expensive first; sessions by wait, on average; updates of tables and how many were HOT."""

    statements: list[Statement]
    waits: dict[str, float]
    updates: dict[str, tuple[int, int]]


class Watch:
    """Counts from `begin` to `end`. The statements are missing where pg_stat_statements is not installed."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, application_name="bench-watch")
        self._sampler = psycopg.connect(url, autocommit=True, application_name="bench-watch")
        row = self._connection.execute(HAS_STATEMENTS).fetchone()
        self._counted = bool(row and row[0])
        self._ended = threading.Event()
        self._samples = 0
        self._waits: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._sample, name="watch")

    def begin(self) -> None:
        """Forget what was before."""
        if self._counted:
            self._connection.execute("SELECT pg_stat_statements_reset()")
        self._before = self._updates()
        self._thread.start()

    def end(self) -> Seen:
        """Return what happened since `begin`, and close the connections."""
        self._ended.set()
        self._thread.join()
        rows: list[Any] = self._connection.execute(STATEMENTS).fetchall() if self._counted else []
        statements = sorted((Statement(*row) for row in rows), key=lambda one: -one.execution_ms)
        after = self._updates()
        updates = {
            name: (now - self._before[name][0], hot - self._before[name][1]) for name, (now, hot) in after.items()
        }
        self._connection.close()
        self._sampler.close()
        waits = {wait: number / max(1, self._samples) for wait, number in self._waits.most_common()}
        return Seen(statements, waits, updates)

    def _updates(self) -> dict[str, tuple[int, int]]:
        return {name: (updates, hot) for name, updates, hot in self._connection.execute(UPDATES).fetchall()}

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._samples += 1
            for wait, number in self._sampler.execute(SAMPLE).fetchall():
                self._waits[wait] += number


def shortened(query: str) -> str:
    """Return the verb of a statement and the tables that it names."""
    plain = re.sub(r"\s+", " ", query).strip()
    verb = plain.split(" ", 1)[0].upper()
    if verb not in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
        return plain[:60]
    tables = re.findall(r"\b(?:FROM|INTO|UPDATE|JOIN) (?:ONLY )?([a-z_]+)\b(?!\()", plain)
    named = ", ".join(dict.fromkeys(name for name in tables if name not in {"line", "unnest", "busy", "own", "on"}))
    columns = re.search(r"\bSET ([a-z_]+)", plain)
    detail = f" set {columns[1]}" if verb == "UPDATE" and columns else ""
    called = re.search(r"\b((?:pg|set)_[a-z_]+)\(", plain)
    return f"{verb} {named}{detail}" if named else f"{verb} {called[1] if called else plain[7:47]}"
