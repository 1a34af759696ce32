"""Contenders in their own processes: what is measured, and what is said when one refuses."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.contenders.automodel import timed_stages
from bench.lab import QUICK, Lab
from bench.remote import Refused, Run
from bench.speed import ratio
from bench.usage import Meter, memory_mib

TICK = 1.5 / os.sysconf("SC_CLK_TCK")  # the meter's figures are whole ticks


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A benchmark with a cache of its own."""
    return Lab(QUICK, threads=1, cache=tmp_path_factory.mktemp("bench"), say=lambda _: None)


def test_our_texts_are_the_same_alone_among_others_and_interrupted(lab: Lab) -> None:
    with lab.remote("sameness-ours", lab.demo, at_once=3, max_segment_ms=None) as remote:
        run = remote.run(["1", "2", "3"])
    passes = run.details["passes"]
    assert passes["alone"] == passes["together"] == passes["resumed"]
    assert len(passes["alone"]) == 3
    assert all(one["text"] for one in passes["alone"])
    assert run.wall_seconds > 0
    assert run.cpu_seconds > 0
    assert run.peak_rss_mib > 100


def test_an_engine_tells_its_words_its_padding_and_its_stages(lab: Lab) -> None:
    files = lab.audio(3, 6)
    assert [file.suffix for file in files] == [".wav", ".mp3", ".m4a"]
    with lab.remote("ours", lab.demo, at_once=3) as remote:
        run = remote.run(files)
        stages = remote.stages(files[:1])
    assert run.words > 10
    assert all(run.texts)
    assert run.details["padded_over_real"] >= 1
    assert 0 <= run.details["device_idle_share"] < 1
    wanted = {"VAD", "features", "encoder", "predictor", "timestamp head", "decoder", "words", "punctuation"}
    assert {stage for stage, seconds in stages.items() if seconds > 0} >= wanted


def test_the_machine_of_our_vad_is_measured_alone(lab: Lab) -> None:
    with lab.remote("vad-ours", lab.demo, threads=1) as remote:
        run = remote.run(lab.audio(1, 6))
        machine = remote.stages([])
    assert run.details["segments"][0]
    assert machine["audio"] == 36_000
    assert 0 < machine["machine"] < 36


def test_who_cannot_be_loaded_says_why(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="incomplete"):
        lab.remote("ours", tmp_path)
    with pytest.raises(Refused, match="not prepared"):
        lab.remote("funasr-onnx", lab.demo)


def used_here() -> float:
    """Processor time of this process by the clock that the meter reads."""
    return sum(os.times()[:2])


def test_a_meter_counts_processor_time_and_memory_of_its_stretch_only() -> None:
    gc.collect()  # what earlier tests left must not be freed in the meantime
    before = memory_mib("VmRSS")
    with Meter("cpu") as meter:
        held = bytearray(300 * 2**20)
        held[::4096] = b"x" * len(held[::4096])
        enough = used_here() + 0.1
        while used_here() < enough:
            pass
    assert (meter.figures["cpu_seconds"] or 0) > 0.1 - TICK
    assert (meter.figures["peak_rss_mib"] or 0) > before + 50
    del held
    with Meter("cpu") as after:
        time.sleep(0.02)
    assert (after.figures["peak_rss_mib"] or 0) < (meter.figures["peak_rss_mib"] or 0) - 40
    assert (after.figures["wall_seconds"] or 0) >= 0.02


def test_a_meter_counts_the_children_of_a_child_that_runs_on() -> None:
    """As those of the fork server, which decode."""
    working = "import os\nwhile os.times().user < 0.5: pass"
    parent = (
        f"import os, subprocess, sys; subprocess.run([sys.executable, '-c', {working!r}]); "
        "print(os.times().children_user, flush=True); sys.stdin.read()"
    )
    with Meter("cpu") as meter:
        process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        told = float(process.stdout.readline())
    process.communicate()
    assert told >= 0.5
    assert (meter.figures["cpu_seconds"] or 0) > told - TICK


def test_stages_are_timed_and_left_as_they_were() -> None:
    class Worker:
        def __init__(self) -> None:
            self.held: Callable[[], None] = lambda: time.sleep(0.01)

        def work(self) -> None:
            time.sleep(0.02)

    worker = Worker()
    held = worker.held
    named = {"own": (worker, "held"), "method": (worker, "work"), "missing": (worker, "nothing")}

    def both() -> None:
        worker.held()
        worker.work()

    seconds = timed_stages(named, both, "cpu")
    assert set(seconds) == {"own", "method", "all"}
    assert seconds["own"] >= 0.01
    assert seconds["method"] >= 0.02
    assert seconds["all"] >= seconds["own"] + seconds["method"]
    assert worker.held is held
    assert "work" not in vars(worker)


ABSENT = "imageio_ffmpeg espeakng_loader jiwer celery sqlalchemy httpx pydantic structlog psycopg redis boto3"
TRIAL = """
import sys
absent = set(sys.argv[1].split())
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in absent else real(name, *rest)
import bench.gpu, bench.contenders.vad
from collections.abc import Callable
from pathlib import Path
from bench import audio
from bench.contenders.protocol import Spec
from bench.contenders.ours import Ours
from bench.models import DEMO
outcome = Ours(Spec("ours", str(DEMO), threads=1)).run([str(audio.recording(Path(sys.argv[2]), 6, 0))])
print(outcome.words)
"""


def test_the_gpu_benchmark_needs_neither_ffmpeg_nor_the_packages_of_the_service(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", TRIAL, ABSENT, tmp_path], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert int(ran.stdout.split()[-1]) > 5


def test_a_ratio_compares_the_runs_of_a_round() -> None:
    def runs(*walls: float) -> list[Run]:
        return [Run(wall, 1.0, 0.0, None, 0, [], {}) for wall in walls]

    result = ratio(runs(10, 30, 12), runs(5, 10, 4))
    assert result is not None
    assert (result.median, result.least, result.most) == (3.0, 2.0, 3.0)
    assert ratio(runs(1), None) is None
