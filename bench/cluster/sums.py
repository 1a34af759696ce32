"""Whether everything adds up after a round: each submitted job was completed exactly once, and nothing was lost."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

OPEN = "SELECT count(*) FROM jobs WHERE status IN ('queued', 'processing')"
SUMS = """
SELECT count(*) AS jobs,
    count(*) FILTER (WHERE status = 'completed') AS completed,
    (SELECT count(*) FROM attempts) AS attempts,
    (SELECT count(*) FROM attempts WHERE outcome = 'completed') AS completed_attempts,
    (SELECT count(*) FROM usage WHERE status = 'completed') AS usage,
    (SELECT coalesce(sum(audio_ms), 0) FROM usage_daily) AS booked_ms,
    (SELECT count(*) FROM parts) AS parts,
    (SELECT count(*) FROM sentences) AS sentences
FROM jobs
"""
# The wait from submission to claim, of the jobs submitted in a period.
LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - created_at) * 1000)
FROM jobs WHERE created_at BETWEEN to_timestamp(%s) AND to_timestamp(%s)
"""
COMPLETED = "SELECT count(*) FROM jobs WHERE finished_at BETWEEN to_timestamp(%s) AND to_timestamp(%s)"


@dataclass(frozen=True, slots=True)
class Sums:
    """The rows at the end of a round, and the audio in milliseconds that the keys were charged for."""

    jobs: int
    completed: int
    attempts: int
    completed_attempts: int
    usage: int
    booked_ms: int
    parts: int
    sentences: int


def sums(connection: psycopg.Connection) -> Sums:
    """Count everything."""
    row = connection.execute(SUMS).fetchone()
    assert row is not None
    return Sums(*map(int, row))


def unfinished(connection: psycopg.Connection) -> int:
    """Return the number of jobs that have not ended."""
    row = connection.execute(OPEN).fetchone()
    assert row is not None
    return int(row[0])


def latency_ms(connection: psycopg.Connection, began: float, ended: float) -> tuple[float, float] | None:
    """Return p50 and p95 of the wait from submission to claim, in milliseconds; None if no job was submitted."""
    row = connection.execute(LATENCY, [began, ended]).fetchone()
    return (float(row[0][0]), float(row[0][1])) if row and row[0] else None


def completed(connection: psycopg.Connection, began: float, ended: float) -> int:
    """Return the number of jobs that ended in a period."""
    row = connection.execute(COMPLETED, [began, ended]).fetchone()
    return int(row[0]) if row else 0
