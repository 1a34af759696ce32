"""The GPU benchmark on a machine that has nothing but what is installed there and carried along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.gpu import run_parts
from bench.gpu_machine import CARRIED, CARRIED_SOURCES, importable
from bench.machine import REPOSITORY
from bench.report import Column, Report

HIDE_OTHERS = """
import sys
from importlib.machinery import PathFinder

SHOWN = {shown!r}

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in SHOWN or top == "__main__":
            return PathFinder.find_spec(name, path, target)
        return None

    invalidate_caches = staticmethod(PathFinder.invalidate_caches)

sys.meta_path[:] = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
"""
CONTENDERS = """
import sys
from pathlib import Path
from bench.audio import recording
from bench.lab import QUICK, Lab
lab = Lab(QUICK, 1, "cpu", Path(sys.argv[1]), forms=("wav",))
files = [recording(lab.cache, 12.0, 0)]
for kind in ("ours", "funasr"):
    with lab.remote(kind, lab.demo) as remote:
        print(kind, remote.run(files).texts[0])
with lab.remote("vad-ours", lab.demo) as ours, lab.remote("vad-funasr", lab.demo) as theirs:
    print("vad", ours.run(files).details["segments"] == theirs.run(files).details["segments"])
import numba
import bench.gpu, bench.gpu_networks, bench.gpu_sanity, bench.host_cost, bench.simulated
import bench.same_text, bench.speed, bench.vad
from bench.contenders import memory, sameness
from bench.random_speech import random_file
print("speech", len(random_file(0).samples) > 16000)
"""


@pytest.fixture
def bare_machine(tmp_path: Path) -> dict[str, str]:
    """An environment whose Python processes, and their children, see only the modules of that machine."""
    (tmp_path / "sitecustomize.py").write_text(HIDE_OTHERS.format(shown=set(importable())))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    check = "import numpy, importlib.util as u; assert u.find_spec('celery') is None is u.find_spec('imageio_ffmpeg')"
    subprocess.run([sys.executable, "-c", check], env=environment, check=True)
    return environment


@pytest.mark.timeout(900)
def test_every_contender_runs_with_what_is_there(bare_machine: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONTENDERS, str(tmp_path / "cache")],
        env=bare_machine,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    assert lines["ours"] == lines["funasr"]
    assert len(lines["ours"]) > 10
    assert lines["vad"] == lines["speech"] == "True"


def test_the_first_parts_are_written_by_the_command(bare_machine: dict[str, str], tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "bench.gpu",
        "--device",
        "cpu",
        "--quick",
        "--threads",
        "1",
        "--only",
        "sanity",
        "networks",
        "host",
    ]
    results = tmp_path / "results"
    subprocess.run([*command, "--results", str(results)], env=bare_machine, cwd=REPOSITORY, check=True)
    report = json.loads((results / "gpu.json").read_text())
    device, networks, words, host, _ = report["tables"]
    assert device["title"] == "Device"
    theirs, *ours = [row for row in networks["rows"] if row["segments"] == "3 of 6 s"]
    assert theirs["networks"] == "FunASR's modules, fp32"
    exact = next(row for row in ours if row["networks"] == "packed fp32")
    assert exact["equal"] == "3 of 3"
    assert exact["launches"] < theirs["launches"] / 2
    assert words["title"] == "Python per word, us"
    assert host["rows"][0]["what"] == "per core"
    assert report["host_times_real_time_per_core"] > 0


def test_what_was_measured_is_kept_whatever_happens_after(tmp_path: Path) -> None:
    report = Report("gpu", {}, "none")
    seen: list[list[str]] = []

    def good() -> None:
        report.table("Good", Column("what")).add(what="measured")

    def look() -> None:
        content = json.loads((tmp_path / "gpu.json").read_text())
        seen.append([table["title"] for table in content["tables"]])

    def bad() -> None:
        raise ImportError("No module named 'cffi'")

    parts = [("good", good), ("look", look), ("bad", bad), ("look again", look)]
    assert run_parts(parts, report, tmp_path, float("inf"), print) == 1
    assert seen == [["Good"], ["Good", "Not measured"]]
    assert run_parts([("late", good)], report, tmp_path, 0.0, print) == 1
    refused = next(table for table in report.tables if table.title == "Not measured")
    assert [row["contender"] for row in refused.rows] == ["bad", "late"]


def test_carried_packages_are_locked() -> None:
    lock = (REPOSITORY / "requirements" / "dev.lock").read_text(encoding="utf-8")
    locked = {line.partition("==")[0].partition("[")[0] for line in lock.splitlines() if "==" in line}
    assert {*CARRIED, *CARRIED_SOURCES} <= locked
