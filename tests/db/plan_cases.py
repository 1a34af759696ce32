"""What PostgreSQL did for a call, according to auto_explain. For tests of query plans."""

from __future__ import annotations

import re
from collections.abc import Callable

import psycopg
from sqlalchemy import event

from common.db import Database
from tests.db.job_cases import BY_A_TEST

# So often that psycopg prepares a statement and PostgreSQL considers a plan without the parameters.
REPEATS = 12
TABLES = (
    "jobs",
    "job_tags",
    "batches",
    "attempts",
    "parts",
    "sentences",
    "edits",
    "earlier_edits",
    "summaries",
    "summary_sections",
)


class Plans:
    """Collects the plan of each statement with its actual rows, except for queries of the test itself."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def __call__(self, notice: psycopg.errors.Diagnostic) -> None:
        message = notice.message_primary or ""
        if message.startswith("duration") and BY_A_TEST not in message:
            self.notices.append(message)

    def indexes(self) -> set[str]:
        return set(re.findall(r"Index(?: Only)? Scan (?:Backward )?(?:using|on) (\w+)", "\n".join(self.notices)))

    def sequential(self) -> list[str]:
        """The plans that read a whole table, other than that of the workers."""
        return [plan for plan in self.notices if re.search(rf"Seq Scan on ({'|'.join(TABLES)})\b", plan)]

    def most_rows(self) -> int:
        """The most rows that one step of a plan gave or threw away."""
        text = "\n".join(self.notices)
        given = [float(rows) * int(loops) for rows, loops in re.findall(r"rows=([\d.]+) loops=(\d+)\)", text)]
        removed = [float(rows) for rows in re.findall(r"Rows Removed by [\w ]+: (\d+)", text)]
        return int(max([*given, *removed]))


Watched = tuple[Database, Plans]


def watched(database: Database) -> Watched:
    """The database with fresh statistics, and the plans of all that is done with it from now on."""
    plans = Plans()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")

    @event.listens_for(database.engine, "connect")
    def explain(connection: psycopg.Connection, _record: object) -> None:
        connection.add_notice_handler(plans)
        connection.execute("LOAD 'auto_explain'")
        connection.execute("SET auto_explain.log_min_duration = 0")
        connection.execute("SET auto_explain.log_nested_statements = on")  # what a cascade does
        connection.execute("SET auto_explain.log_analyze = on")
        connection.execute("SET auto_explain.log_level = 'notice'")
        connection.commit()

    database.engine.dispose()
    return database, plans


def told_by(filled: Watched, call: Callable[[Database], object]) -> Plans:
    """The plans of one more call, after it was made often."""
    database, plans = filled
    for _ in range(REPEATS):
        call(database)
    plans.notices.clear()
    call(database)
    assert plans.notices
    return plans
