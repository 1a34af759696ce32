"""Every shipped bundle beside FunASR's AutoModel on the same files: `python -m bench bundles`.

The bundles are made in full size with random weights (`bench.bundle_models`), so this measures speed and memory. That
texts and times equal FunASR's is tested for each class of model: `tests/engine/`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bench.bundle_models import NAMES, bundle_named
from bench.lab import CACHE, FULL, Lab
from bench.remote import Refused, Remote, Run
from bench.report import RESULTS, Column, Report, Spread, conditions, spread
from bench.speed import AUTOMODEL, ratio, refuse

CONTENDERS = ((AUTOMODEL, "funasr", "fp32"), ("ours", "ours", "fp32"), ("ours int8", "ours", "int8"))
COLUMNS = (
    Column("bundle"),
    Column("contender"),
    Column("load", "loading, s", 1),
    Column("times", "x real time", 1),
    Column("cpu", "CPU, s per minute of audio", 2),
    Column("ratio", f"of {AUTOMODEL}, by CPU", 2),
    Column("rss", "peak RSS, MiB", 0),
    Column("words", "words per second of audio", 1),
)


def main(arguments: list[str]) -> int:
    """Measure, print, write `bench/results/bundles.json`; a part writes no file."""
    options = _options(arguments)
    console, started = Console(width=150), time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - started:6.0f} s  {text}", style="dim", markup=False, highlight=False)

    effort = replace(FULL, rounds=options.rounds, files=options.files, file_seconds=options.file_seconds)
    lab = Lab(effort, options.threads, "cpu", options.cache, say)
    report = Report("bundles", _conditions(lab), "one file of 10 s for every loaded contender")
    table = report.table("Bundles in full size, random weights", *COLUMNS)
    for name in options.only:
        say(f"{name}: models")
        bundle = bundle_named(name, options.cache / "models")
        loading, runs = measured(lab, bundle, report)
        for contender in runs:
            table.add(bundle=name, contender=contender, load=loading[contender], **_cells(lab, runs, contender))
    report.conditions["took"] = f"{time.monotonic() - started:.0f} s"
    report.show(console)
    say(f"written to {report.write(options.results)}" if set(options.only) == set(NAMES) else "no file: a part only")
    return 0


def measured(lab: Lab, bundle: Path, report: Report) -> tuple[dict[str, float], dict[str, list[Run]]]:
    """Seconds of loading and the runs of each contender, in turn round after round; the report says who refused."""
    files = lab.audio(lab.effort.files, lab.effort.file_seconds)
    runs: dict[str, list[Run]] = {}
    with ExitStack() as stack:
        running: dict[str, Remote] = {}
        for name, kind, precision in CONTENDERS:
            lab.say(f"{bundle.name}, {name}: loading")
            try:
                remote = stack.enter_context(lab.remote(kind, bundle, precision, at_once=_at_once(kind, len(files))))
                remote.run(lab.audio(1, lab.warmup_seconds))
            except Refused as error:
                refuse(report, f"{bundle.name}, {name}", str(error))
            else:
                running[name] = remote
        for _ in range(lab.effort.rounds):
            for name, remote in running.items():
                lab.say(f"{bundle.name}, {name}: {len(files)} files of {lab.effort.file_seconds:g} s")
                runs.setdefault(name, []).append(remote.run(files))
        return {name: remote.load_seconds for name, remote in running.items()}, runs


def _at_once(kind: str, files: int) -> int:
    return files if kind == "ours" else 1


def _cells(lab: Lab, runs: dict[str, list[Run]], contender: str) -> dict[str, Spread | float | None]:
    seconds = lab.effort.files * lab.effort.file_seconds
    those: Sequence[Run] = runs[contender]
    return {
        "times": spread(seconds / run.wall_seconds for run in those),
        "cpu": spread(60 * run.cpu_seconds / seconds for run in those),
        "ratio": None if contender == AUTOMODEL else ratio(runs.get(AUTOMODEL), those, "cpu_seconds"),
        "rss": max(run.peak_rss_mib for run in those),
        "words": those[-1].words / seconds or None,
    }


def _conditions(lab: Lab) -> dict[str, object]:
    effort = lab.effort
    return conditions(
        {
            "threads": f"{lab.threads} for every contender; GOMP_SPINCOUNT=0 for all",
            "models": "networks and vocabularies of published size, random weights from a fixed seed; VAD: demo-zh",
            "audio": f"{effort.files} different files of {effort.file_seconds:g} s, {', '.join(lab.forms)} in turn; "
            "ours all at once",
            "statistics": f"medians of {effort.rounds} runs (least-most), contenders in turn; ratios by round",
            "AutoModel": "batch_size_s=300, default options; its memory includes Python modules of all its models",
        }
    )


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench bundles", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="a part of it; writes no file")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 2), help="of every contender (2)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender (3)")
    parser.add_argument("--files", type=int, default=8, help="files in a run (8)")
    parser.add_argument("--file-seconds", type=float, default=20.0, help="length of each of them (20)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where models and audio are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    return parser.parse_args(arguments)
