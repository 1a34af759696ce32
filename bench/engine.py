"""The engine's benchmark: `python -m bench engine`.

Every part can be measured alone (`--only vad,text`); the file of results then keeps what other parts found earlier,
each with the conditions that it was measured in.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bench import host_cost, memory, same_text, service, speed, vad
from bench.lab import CACHE, FULL, QUICK, Effort, Lab
from bench.report import RESULTS, Report, conditions

PARTS = ("speed", "vad", "text", "host", "service", "memory")
WARMUP = "one file of 10 s for every loaded contender"


def main(arguments: list[str]) -> int:
    """Measure, print, write `bench/results/engine.json`; 0 unless something could not be run at all."""
    options = _options(arguments)
    console = Console(width=max(Console().width, 150))
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - started:6.0f} s  {text}", style="dim", markup=False, highlight=False)

    lab = Lab(_effort(options), options.threads, "cpu", options.cache, say)
    report = Report("engine", _conditions(lab, options.quick), WARMUP)
    for part in options.only:
        try:
            _PARTS[part](lab, report)
        except ImportError as error:  # machines with few packages measure what is possible
            speed.refuse(report, f"the part {part}", f"needs a package that is not here: {error.name}")
    report.conditions["load after"] = round(os.getloadavg()[0], 2)
    report.conditions["took"] = f"{time.monotonic() - started:.0f} s"
    report.show(console)
    say(f"written to {report.write(options.results, keep=set(options.only) != set(PARTS))}")
    return 0


def _speed(lab: Lab, report: Report) -> None:
    lab.say("models")
    lab.prepare_peers()
    chosen = speed.entrants(lab.effort.files)
    runs = speed.measure(lab, report, chosen)
    peer = runs.get(speed.AUTOMODEL)
    for key, entrant, bar in _ratios(chosen):
        ratio = speed.ratio(peer, runs.get(entrant.name))
        by_cpu = speed.ratio(peer, runs.get(entrant.name), "cpu_seconds")
        report.bar(key, ratio.median if ratio else None, bar=bar)
        report.bar(f"{key}_by_cpu", by_cpu.median if by_cpu else None)


def _ratios(chosen: list[speed.Entrant]) -> list[tuple[str, speed.Entrant, float]]:
    """The comparisons with AutoModel: key, contender, bar."""
    many = {one.precision: one for one in chosen if one.kind == "ours" and one.at_once > 1}
    return [("fp32_ratio", many["fp32"], 1.7), ("int8_ratio", many["int8"], 3.0)]


_PARTS: dict[str, Callable[[Lab, Report], None]] = {
    "speed": _speed,
    "vad": vad.measure,
    "text": same_text.measure,
    "host": lambda _, report: host_cost.measure(report),
    "service": service.measure,
    "memory": memory.measure,
}


def _conditions(lab: Lab, quick: bool) -> dict[str, object]:
    effort = lab.effort
    return conditions(
        {
            "mode": "quick" if quick else "full",
            "threads": f"{lab.threads} for every contender; GOMP_SPINCOUNT=0 for all",
            "device": lab.device,
            "models": "speed and service: BiCifParaformer of 225 M parameters, CT-Transformer of 272,727 words, random "
            "weights from a fixed seed; VAD: FSMN-VAD v2.0.4; text and memory: demo-zh",
            "audio": f"{effort.files} different files of {effort.file_seconds:g} s from samples/meeting.mp3, "
            "wav, mp3 and m4a in turn",
            "statistics": f"medians of {effort.rounds} runs (least-most), contenders in turn; ratios by round",
        }
    )


def _effort(options: argparse.Namespace) -> Effort:
    effort = QUICK if options.quick else FULL
    given = {
        name: getattr(options, name) for name in ("rounds", "files", "file_seconds", "compared_files", "memory_hours")
    }
    effort = replace(effort, **{name: value for name, value in given.items() if value is not None})
    return replace(effort, long_seconds=()) if options.no_long else effort


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench engine", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter audio, fewer repeats and files: under 4 minutes")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"parts, comma-separated, of {', '.join(PARTS)}")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 2), help="of every contender (2)")
    parser.add_argument("--rounds", type=int, help="runs of each contender")
    parser.add_argument("--files", type=int, help="files at once")
    parser.add_argument("--file-seconds", type=float, help="length of each of them")
    parser.add_argument("--compared-files", type=int, help="files whose text is compared")
    parser.add_argument("--memory-hours", type=float, help="length of the long file")
    parser.add_argument("--no-long", action="store_true", help="leave out single files of 10 minutes and an hour")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where models and audio are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    return parser.parse_args(arguments)


def _parts(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(PARTS):
        raise argparse.ArgumentTypeError(f"there is no part {', '.join(sorted(unknown))}")
    return chosen
