"""The report of some rounds: what came out, what PostgreSQL spent it on, and what sessions waited for."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from bench.cluster.rounds import Round
from bench.report import Column, Report, Spread, Value, conditions, spread

MOST_STATEMENTS = 16
MOST_WAITS = 10
BEFORE, AFTER = "the other tree", "this tree"


def report_of(rounds: Mapping[str, Sequence[Round]], *, server: str) -> Report:
    """Return the report; the rounds of one name are repetitions."""
    load = next(iter(rounds.values()))[0].load
    where = {
        "load": ", ".join(f"{name} {value:g}" for name, value in asdict(load).items() if value is not None),
        "PostgreSQL": server,
        "simulated": "no engine and no audio; workers of a process share its connections and one reader of messages",
    }
    report = Report("cluster", conditions(where, ("sqlalchemy", "psycopg", "celery")), "a part of each round")
    _throughput(report, rounds)
    for name, some in rounds.items():
        _statements(report, name, some[-1])
        _waits(report, name, some[-1])
    last = list(rounds.values())[-1]
    report.bar("jobs_per_second", statistics.median(one.completed / one.seconds for one in last))
    report.bar("renewals_per_second", statistics.median(one.renewals / one.seconds for one in last))
    report.bar("postgres_cores", statistics.median(one.cores["PostgreSQL"] for one in last))
    if len(rounds) > 1:
        report.bar("postgres_time_of_a_job_ratio", _ratio(rounds))
    return report


def _throughput(report: Report, rounds: Mapping[str, Sequence[Round]]) -> None:
    table = report.table(
        "The cluster",
        Column("code"),
        Column("jobs", "jobs/s"),
        Column("renewals", "renewals/s", 0),
        Column("dispatch_p50", "submit to claim p50 (ms)", 0),
        Column("dispatch_p95", "p95 (ms)", 0),
        Column("late_p50", "renewal late p50 (ms)", 0),
        Column("late_p95", "p95 (ms)", 0),
        Column("hot", "HOT updates of jobs"),
        *(Column(f"cores_{name}", f"cores: {name}") for name in next(iter(rounds.values()))[0].cores),
        Column("per_job", "PostgreSQL, ms per job"),
    )
    for name, some in rounds.items():
        table.add(
            code=name,
            jobs=spread(one.completed / one.seconds for one in some),
            renewals=spread(one.renewals / one.seconds for one in some),
            dispatch_p50=_spread(one.dispatch_ms and one.dispatch_ms[0] for one in some),
            dispatch_p95=_spread(one.dispatch_ms and one.dispatch_ms[1] for one in some),
            late_p50=_spread(one.renewal_delay_ms and one.renewal_delay_ms[0] for one in some),
            late_p95=_spread(one.renewal_delay_ms and one.renewal_delay_ms[1] for one in some),
            hot=_spread(_hot(one) for one in some),
            per_job=_spread(_per_job(one) for one in some),
            **{f"cores_{process}": spread(one.cores[process] for one in some) for process in some[0].cores},
        )
    every = [one for some in rounds.values() for one in some]
    table.note(f"Demanded: {every[0].load.jobs_per_second:.2f} jobs/s.")
    table.note(f"Counted by the crews: {dict(sum((one.counts for one in every), Counter()))}")
    lost = sum(one.sums.jobs - one.sums.completed for one in every)
    table.note(f"At the end {sum(one.sums.completed for one in every)} jobs were completed, {lost} were not.")


def _statements(report: Report, name: str, one: Round) -> None:
    total = sum(each.execution_ms + each.planning_ms for each in one.seen.statements)
    if not total:
        return
    table = report.table(
        f"Time in statements: {name}",
        Column("statement"),
        Column("calls", "calls/s", 1),
        Column("mean", "ms per call", 3),
        Column("share", "share of the time", 3),
        Column("wal", "WAL, KB/s", 1),
    )
    for each in one.seen.statements[:MOST_STATEMENTS]:
        table.add(
            statement=each.label,
            calls=each.calls / one.seconds,
            mean=(each.execution_ms + each.planning_ms) / each.calls,
            share=(each.execution_ms + each.planning_ms) / total,
            wal=each.wal_bytes / 1000 / one.seconds,
        )
    table.note("pg_stat_statements, which includes waits for locks and, in COMMIT, for the disk.")


def _waits(report: Report, name: str, one: Round) -> None:
    table = report.table(f"Active sessions: {name}", Column("state or wait"), Column("sessions", digits=3))
    for wait, number in list(one.seen.waits.items())[:MOST_WAITS]:
        row: dict[str, Value] = {"state or wait": wait, "sessions": number}
        table.add(**row)
    table.note("Average number, from samples of pg_stat_activity.")


def _per_job(one: Round) -> float | None:
    """PostgreSQL's processor time in milliseconds for each job that ended, with all renewals and dispatches."""
    return one.cores["PostgreSQL"] * one.seconds * 1000 / one.completed if one.completed else None


def _hot(one: Round) -> float | None:
    updates, hot = one.seen.updates.get("jobs", (0, 0))
    return hot / updates if updates else None


def _ratio(rounds: Mapping[str, Sequence[Round]]) -> float | None:
    before, after = (_spread(_per_job(one) for one in some) for some in rounds.values())
    return after.median / before.median if before and after else None


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return spread(known) if known else None
