"""The engine on a GPU beside FunASR, on a machine without a network: `python -m bench.gpu`.

    python -m bench.gpu wheels DIRECTORY        # before, where there is a network: what to carry along (Python 3.12)
    pip install --no-index --no-deps --find-links DIRECTORY DIRECTORY/*.whl && python -m bench.gpu --results OUT

The second line is the one command there. torch, numpy, numba, rich and PyYAML must be on the machine. The parts run in
the order of their worth. Each writes `OUT/gpu.json` anew when it ends, one that fails is named in it and the next one
begins, and none begins when the time is over: whatever happens, what was measured is kept.
Audio is wav, read by soundfile: ffmpeg alone would be more than may be carried.
`--device cpu --quick` tries the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.gpu_machine import CARRIED, CARRIED_SOURCES
from bench.lab import CACHE, QUICK, Effort, Lab
from bench.machine import REPOSITORY
from bench.report import RESULTS, Report, conditions

MOST_BYTES = 64 * 2**20
GPU = Effort(rounds=3, files=16, file_seconds=300, long_seconds=(), vad_seconds=600, compared_files=60)
BAR = 20.0
AT_ONCE = (1, 16, 64, 128)
"""Files that our engine gets at once, in bf16."""

PRECISIONS = ("fp32", "bf16", "fp16")
LATEST_START_SECONDS = 480.0
"""A part that has not begun by then is left out: the machine is lent for ten minutes."""

Part = tuple[str, Callable[[], None]]


def main(arguments: list[str]) -> int:
    """Collect wheels, or measure, print, and write `gpu.json`. Returns 1 if a part failed."""
    if arguments[:1] == ["wheels"]:
        return collect(Path(arguments[1]))
    options = _options(arguments)
    started = time.monotonic()
    effort = replace(QUICK, files=4, long_seconds=(), compared_files=4) if options.quick else GPU

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True)

    lab = Lab(effort, options.threads, options.device, options.cache, say, forms=("wav",))
    audio = f"{effort.files} different wav files of {effort.file_seconds:g} s from samples/meeting.mp3"
    report = Report(
        "gpu", conditions({"device": options.device, "threads": options.threads, "audio": audio}), "one file of 10 s"
    )
    failed = run_parts(_parts(lab, report, options), report, options.results, started + options.latest_start, say)
    report.show()
    say(f"written to {report.write(options.results)}")
    return int(failed > 0)


def run_parts(
    parts: Sequence[Part], report: Report, results: Path, latest_start: float, say: Callable[[str], None]
) -> int:
    """Run the parts in order and write the report after each; returns how many failed or were left out.

    An exception in one part does not stop the others, because the machine may not be available again.
    """
    from bench.speed import refuse

    began = time.monotonic()
    failed = 0
    for name, measure in parts:
        if time.monotonic() > latest_start:
            refuse(report, name, "left out: the time was over")
            failed += 1
            continue
        say(f"part: {name}")
        try:
            measure()
        except Exception as error:
            traceback.print_exc()
            refuse(report, name, f"{type(error).__name__}: {error}"[:600])
            failed += 1
        report.conditions["took"] = f"{time.monotonic() - began:.0f} s"
        report.write(results)
    return failed


def _parts(lab: Lab, report: Report, options: argparse.Namespace) -> list[Part]:
    """The parts in order of importance. Each does its own imports, so a missing package affects only one part."""

    def sanity() -> None:
        from bench import gpu_sanity

        gpu_sanity.measure(report, options.device)

    def texts() -> None:
        from bench import same_text

        same_text.precisions(lab, report, PRECISIONS)

    def networks() -> None:
        from bench import gpu_networks

        gpu_networks.measure(lab, report)

    def whole() -> None:
        from bench import speed

        chosen = speed.gpu_entrants(lab.effort.files)
        runs = speed.measure(lab, report, chosen)
        for one in (one for one in chosen if one.kind == "ours"):
            ratios = [speed.ratio(runs.get(peer.name), runs.get(one.name)) for peer in chosen if peer.kind == "funasr"]
            least = min((ratio.median for ratio in ratios if ratio), default=None)  # against the faster setting
            report.bar(f"gpu_{one.precision}_ratio", least, bar=BAR)

    def at_once() -> None:
        from bench import speed

        speed.at_once(
            lab, report, AT_ONCE if lab.device != "cpu" else (1, 2), "bf16" if lab.device != "cpu" else "fp32"
        )

    def vad() -> None:
        from bench import vad

        vad.measure(lab, report)

    def host() -> None:
        from bench import host_cost, simulated

        host_cost.measure(report)
        simulated.measure(report, simulated.Load(2, 60.0) if options.quick else simulated.Load())

    parts = {
        **{"sanity": sanity, "networks": networks, "texts": texts, "speed": whole, "at_once": at_once},
        **{"vad": vad, "host": host},
    }
    return [(name, part) for name, part in parts.items() if name in (options.only or parts)]


def collect(directory: Path) -> int:
    """Collect wheels for Python 3.12 on x86-64 Linux in a directory; returns 1 if they exceed the transfer limit."""
    directory.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as place:
        bound = Path(place) / "versions.txt"
        bound.write_text((REPOSITORY / "requirements" / "dev.lock").read_text("utf-8"), "utf-8")
        common = ["--no-deps", "--constraint", str(bound)]
        platforms = [f"--platform={name}_x86_64" for name in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
        target = ["--only-binary=:all:", "--python-version=3.12", "--platform=any", *platforms, "-d", str(directory)]
        subprocess.run([*pip, "download", *common, *target, *CARRIED], check=True)
        subprocess.run([*pip, "wheel", *common, "-w", str(directory), *CARRIED_SOURCES], check=True)
    size = sum(file.stat().st_size for file in directory.glob("*.whl"))
    print(f"{len(list(directory.glob('*.whl')))} wheels, {size / 2**20:.1f} MiB in {directory}")
    return int(size > MOST_BYTES)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--quick", action="store_true", help="a trial: a minute of audio")
    parser.add_argument("--only", nargs="+", metavar="PART", help="sanity, networks, texts, speed, at_once, vad, host")
    parser.add_argument(
        "--latest-start", type=float, default=LATEST_START_SECONDS, help="seconds; later parts are left out"
    )
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 16), help="of every contender")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where models and audio are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
