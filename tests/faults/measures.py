"""What the soak counts, and how it says it."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import psycopg

from bench.report import Column, Report, conditions, spread
from dev.stack import REPOSITORY
from tests.e2e.service import SHORT_LEASES, SHORT_TIMES
from tests.faults.catalogue import FAULTS
from tests.faults.pieces import NOTHING, Audio, Piece, Row
from tests.faults.stack import Stack

if TYPE_CHECKING:
    from tests.faults.soak import Leg, Plan

# Written whenever a worker says how far it is, and kept per attempt: the job itself only remembers the furthest.
PROGRESS = """
CREATE TABLE soak_progress (
    job_id uuid, run int, attempt int, processed_ms bigint, PRIMARY KEY (job_id, run, attempt)
);
CREATE FUNCTION soak_note_progress() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO soak_progress VALUES (NEW.id, NEW.run, NEW.attempts, NEW.processed_ms)
    ON CONFLICT (job_id, run, attempt) DO UPDATE SET processed_ms = EXCLUDED.processed_ms;
    RETURN NEW;
END $$;
CREATE TRIGGER soak_progress AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION soak_note_progress();
"""
TWICE = """
SELECT coalesce(sum(greatest(0, before.processed_ms - attempts.resumed_ms)), 0)
FROM attempts JOIN soak_progress AS before
    ON before.job_id = attempts.job_id AND before.run = attempts.run AND before.attempt = attempts.number - 1
"""


LEASE_AND_SWEEP_SECONDS = SHORT_LEASES["lease_seconds"] + SHORT_TIMES["sweep_seconds"]


def watch_progress(stack: Stack) -> None:
    """Have the database note how far each attempt came."""
    with psycopg.connect(stack.settings.postgres_url) as connection:
        connection.execute(PROGRESS)


def audio_of(stack: Stack) -> Audio:
    """All that was worked on. What an attempt had done when it was lost is known from its last sign of life, up to
    half a second before; the share that is given is therefore a little too small."""
    seconds = stack.query("SELECT coalesce(sum(audio_ms), 0) / 1000.0 FROM jobs WHERE tags <> '{}'")[0][0]
    twice = stack.query(TWICE)[0][0]
    attempts, lost = stack.query("SELECT count(*), count(*) FILTER (WHERE outcome = 'lost') FROM attempts")[0]
    return Audio(float(seconds), float(twice) / 1000.0, attempts, lost)


def keep_logs(stack: Stack) -> None:
    """Where the soak found something wrong, what the processes said about it is needed."""
    kept = REPOSITORY / ".paraqueue" / f"soak-{stack.storage}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(stack.logs, kept)
    print(f"the logs are in {kept.relative_to(REPOSITORY)}")


def piece_of(legs: Sequence[Leg], plan: Plan, seconds: float) -> Piece:
    """What a run counted."""
    rows = [row for leg in legs for row in leg.rounds]
    verdicts = [leg.verdict for leg in legs if leg.verdict is not None]
    counts = {"jobs": sum(item.jobs for item in verdicts)}
    counts |= {name: sum(len(getattr(item, name)) for item in verdicts) for name in NOTHING[:-1]}
    counts["orphans"] += sum(len(row.orphans) for row in rows)
    counts["complaints"] = sum(bool(row.complaint) for row in rows)
    audio = Audio(*(sum(getattr(leg.audio, one.name) for leg in legs) for one in fields(Audio)))
    return Piece(_conditions(legs, plan, seconds), rows, counts, audio)


def report(pieces: Sequence[Piece]) -> Report:
    """The tables and figures of all pieces together, with the conditions of the last."""
    rows = [row for piece in pieces for row in piece.rows]
    where = dict(pieces[-1].conditions)
    if len(pieces) > 1:
        told = ("measured", "revision", "processor", "seed", "minutes", "load before")
        where["pieces"] = [{name: piece.conditions[name] for name in told} for piece in pieces]
    report = Report("soak", where, warmup="an undisturbed run of each file, and its transcript")
    _faults(report, rows)
    _figures(report, pieces, rows)
    return report


def _faults(report: Report, rows: Sequence[Row]) -> None:
    table = report.table(
        "Faults under load",
        Column("fault"),
        Column("times"),
        Column("recovery_s", "recovery s, median (least-most)", 1),
        Column("taken_back_s", "jobs of a lost worker queued again after s", 1),
        Column("complaints"),
    )
    for fault in FAULTS:
        mine = [row for row in rows if row.fault == fault.name]
        recovered = [row.recovery_seconds for row in mine if row.recovery_seconds is not None]
        taken_back_in_time = [value for row in mine for value in row.taken_back_seconds]
        table.add(
            fault=fault.name,
            times=len(mine),
            recovery_s=spread(recovered) if recovered else None,
            taken_back_s=spread(taken_back_in_time) if taken_back_in_time else None,
            complaints=sum(bool(row.complaint) for row in mine),
        )
    table.note("recovery: from the end of the fault until every job that it struck was worked on again")
    for row in rows:
        if row.complaint:
            table.note(f"{row.fault}: {row.complaint}")


def _figures(report: Report, pieces: Sequence[Piece], rows: Sequence[Row]) -> None:
    report.bar("jobs", sum(piece.counts["jobs"] for piece in pieces))
    report.bar("faults", sum(not row.complaint for row in rows))
    for name in NOTHING:
        report.bar(name, sum(piece.counts[name] for piece in pieces), bar=0, at_most=True)
    recovered = [row.recovery_seconds for row in rows if row.recovery_seconds is not None]
    report.bar("recovery_p50_s", round(statistics.median(recovered), 2) if recovered else None)
    report.bar("recovery_max_s", round(max(recovered), 2) if recovered else None)
    killed = [value for row in rows if row.fault == "worker killed" for value in row.taken_back_seconds]
    # The promise: lease and sweep interval.
    report.bar("taken_back_max_s", round(max(killed), 2) if killed else None, bar=LEASE_AND_SWEEP_SECONDS, at_most=True)
    audio = [piece.audio for piece in pieces]
    seconds, twice = sum(each.seconds for each in audio), sum(each.twice_seconds for each in audio)
    report.bar("audio_s", round(seconds, 1))
    report.bar("audio_twice_s", round(twice, 1))
    report.bar("audio_twice_share", round(twice / seconds, 4) if seconds else None)
    report.bar("attempts", sum(each.attempts for each in audio))
    report.bar("lost_attempts", sum(each.lost_attempts for each in audio))


def _conditions(legs: Sequence[Leg], plan: Plan, seconds: float) -> dict[str, object]:
    return conditions(
        {
            "seed": plan.seed,
            "rounds planned": plan.rounds,
            "minutes": round(seconds / 60, 1),
            "outage seconds": plan.outage_seconds,
            "jobs in flight": plan.in_flight,
            "settings": "lease 3 s, renewal 0.5 s, sweep 1 s, parts of 30 s, 2 workers of 1 thread, demo-zh",
            "audio": "mp3, m4a, ogg and wav of 2 to 3 minutes; 3 of 4 uploaded, 1 of 4 by link",
            "refused requests": {leg.storage: leg.refused for leg in legs},
        }
    )
