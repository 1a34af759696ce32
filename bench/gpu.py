"""The engine on a GPU beside FunASR, on a machine without a network: `python -m bench.gpu`.

    python -m bench.gpu wheels DIRECTORY        # before, where there is a network: what to carry along (Python 3.12)
    pip install --no-index --no-deps --find-links DIRECTORY DIRECTORY/*.whl && python -m bench.gpu

The second line is the one command there, meant to end in under ten minutes. torch, numpy, numba, rich and PyYAML must
be on the machine. Audio is wav, read by soundfile: ffmpeg alone would be more than may be carried.
`--device cpu --quick` tries the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench import host_cost, speed, vad
from bench.lab import CACHE, QUICK, Effort, Lab
from bench.machine import REPOSITORY
from bench.report import RESULTS, Report, conditions

BARE = (
    "audioread", "funasr", "hydra-core", "kaldi-native-fbank", "kaldiio", "librosa", "omegaconf", "pooch", "rapidfuzz",
    "soundfile", "soxr", "torch-complex",
)  # fmt: skip
"""What FunASR and the engine import, and such a machine lacks; in the versions of requirements/dev.lock."""
SOURCES = ("antlr4-python3-runtime", "jieba")
"""The same, published without wheels; both are pure Python."""
MOST_BYTES = 64 * 2**20
GPU = Effort(rounds=3, files=16, file_seconds=300, long_seconds=(), vad_seconds=600)
BAR = 20.0


def main(arguments: list[str]) -> int:
    """Collect wheels, or measure, print, and write `bench/results/gpu.json`."""
    if arguments[:1] == ["wheels"]:
        return collect(Path(arguments[1]))
    options = _options(arguments)
    started = time.monotonic()
    effort = replace(QUICK, files=4, long_seconds=()) if options.quick else GPU

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True)

    lab = Lab(effort, options.threads, options.device, options.cache, say, forms=("wav",))
    audio = f"{effort.files} different wav files of {effort.file_seconds:g} s from samples/meeting.mp3"
    report = Report(
        "gpu", conditions({"device": options.device, "threads": options.threads, "audio": audio}), "one file of 10 s"
    )
    chosen = speed.gpu_entrants(effort.files)
    runs = speed.measure(lab, report, chosen)
    for one in (one for one in chosen if one.kind == "ours" and one.at_once > 1):
        ratio = speed.ratio(runs.get(speed.AUTOMODEL), runs.get(one.name))
        report.bar(f"gpu_{one.precision}_ratio", ratio.median if ratio else None, bar=BAR)
    vad.measure(lab, report)
    host_cost.measure(report)
    report.conditions["took"] = f"{time.monotonic() - started:.0f} s"
    report.show()
    say(f"written to {report.write(options.results)}")
    return 0


def collect(directory: Path) -> int:
    """Wheels for Python 3.12 on x86-64 Linux into a directory; 1 if they are more than may be carried."""
    directory.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as place:
        bound = Path(place) / "versions.txt"
        bound.write_text((REPOSITORY / "requirements" / "dev.lock").read_text("utf-8"), "utf-8")
        common = ["--no-deps", "--constraint", str(bound)]
        platforms = [f"--platform={name}_x86_64" for name in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
        target = ["--only-binary=:all:", "--python-version=3.12", "--platform=any", *platforms, "-d", str(directory)]
        subprocess.run([*pip, "download", *common, *target, *BARE], check=True)
        subprocess.run([*pip, "wheel", *common, "-w", str(directory), *SOURCES], check=True)
    size = sum(file.stat().st_size for file in directory.glob("*.whl"))
    print(f"{len(list(directory.glob('*.whl')))} wheels, {size / 2**20:.1f} MiB in {directory}")
    return int(size > MOST_BYTES)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--quick", action="store_true", help="a trial: a minute of audio")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 16), help="of every contender")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where models and audio are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
