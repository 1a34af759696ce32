"""The report: latencies of the well-behaved tenant, their ratios to the quiet rounds, and who used the processor."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from bench.misbehave.attacks import KINDS
from bench.misbehave.rounds import BARRED, MEASURES, Round
from bench.report import Column, Report, Value, conditions, spread

BAR_RATIO = 2.0
WHERE = {
    "processes": "one API process, one worker, one light worker, PostgreSQL with fsync, files on disk",
    "limits": "the defaults",
}


def report_of(rounds: Sequence[Round], *, quiet: str, control: str, everything: str, seconds: float) -> Report:
    """Return the report of some rounds, of which those with the same name are repetitions."""
    by_name: dict[str, list[Round]] = {}
    for one in rounds:
        by_name.setdefault(one.name, []).append(one)
    where = WHERE | {"round": f"{seconds:g} s", "load of each round": ", ".join(f"{one.load:.1f}" for one in rounds)}
    report = Report("misbehave", conditions(where, ("fastapi", "uvicorn", "sqlalchemy")), "one quiet round")
    _latencies(report, by_name, quiet)
    _cores(report, by_name)
    _answers(report, by_name, everything)
    if everything in by_name:
        for measure in BARRED:
            ratio = _ratio(by_name[everything], by_name[quiet], measure)
            report.bar(f"{measure}_p95_ratio", ratio, bar=BAR_RATIO, at_most=True)
            if control in by_name:
                report.bar(f"{measure}_p95_ratio_to_control", _ratio(by_name[everything], by_name[control], measure))
    return report


def _latencies(report: Report, by_name: dict[str, list[Round]], quiet: str) -> None:
    columns = [Column("round"), Column("clips", digits=0)]
    for measure, title in MEASURES.items():
        columns += [Column(f"{measure}_p50", f"{title} p50 (ms)", 0), Column(f"{measure}_p95", "p95 (ms)", 0)]
        columns.append(Column(f"{measure}_ratio", "p95 / quiet", 2))
    table = report.table("The well-behaved tenant beside the other", *columns)
    for name, rounds in by_name.items():
        row: dict[str, Value] = {"round": name, "clips": sum(len(one.samples.clip_to_text) for one in rounds)}
        for measure in MEASURES:
            row[f"{measure}_p50"] = spread(_percentile(one, measure, 0.5) for one in rounds)
            row[f"{measure}_p95"] = spread(_percentile(one, measure, 0.95) for one in rounds)
            row[f"{measure}_ratio"] = _ratio(rounds, by_name[quiet], measure)
        table.add(**row)
    table.note("Medians of rounds (least-most). Kinds: " + "; ".join(_described()))
    wrong = Counter(what for one in by_name.values() for r in one for what in r.samples.wrong)
    table.note(f"Calls and clips of the well-behaved tenant that went wrong: {dict(wrong) or 'none'}.")


def _described() -> list[str]:
    return [f"{name}: {(kind.__doc__ or '').rstrip('.')}" for name, kind in KINDS.items()]


def _cores(report: Report, by_name: dict[str, list[Round]]) -> None:
    names = list(next(iter(by_name.values()))[0].cores)
    table = report.table("Processor time (cores)", Column("round"), *(Column(name) for name in names))
    for name, rounds in by_name.items():
        table.add(round=name, **{process: statistics.median(one.cores[process] for one in rounds) for process in names})
    table.note("The well-behaved client is not counted; the generator includes the other tenant's own server.")


def _answers(report: Report, by_name: dict[str, list[Round]], everything: str) -> None:
    table = report.table("Answers to the other tenant", Column("what"), Column("number per round", digits=0))
    for rounds in (found for name, found in by_name.items() if name == everything or everything not in by_name):
        for what in sorted({what for one in rounds for what in one.answers}):
            number = statistics.median(one.answers.get(what, 0) for one in rounds)
            row: dict[str, Value] = {"what": what, "number per round": round(number)}
            table.add(**row)


def _percentile(one: Round, measure: str, fraction: float) -> float:
    values: list[float] = sorted(getattr(one.samples, measure))
    return values[min(len(values) - 1, int(fraction * len(values)))]


def _ratio(rounds: Sequence[Round], quiet: Sequence[Round], measure: str) -> float:
    """The ratio of the medians of p95."""
    mine, theirs = (statistics.median(_percentile(one, measure, 0.95) for one in some) for some in (rounds, quiet))
    return mine / theirs
