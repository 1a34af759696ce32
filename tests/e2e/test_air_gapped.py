"""Where there is no network: in a namespace of its own, with no interface but loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev.process import free_port
from dev.stack import REPOSITORY

SAMPLE = REPOSITORY / "samples" / "meeting.mp3"
# An address reserved for documentation; here not even a route leads to it.
OUTSIDE = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
pytestmark = pytest.mark.timeout(600)


def cut_off(*command: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a program without a network; skips where we may not make a namespace."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare and ip are needed (packages util-linux, iproute2)")
    inside = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*inside, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets us make no network namespace")
    return subprocess.run(
        [*inside, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *map(str, command)],
        env=dict(os.environ) | changes,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A directory of models as an operator copies it there."""
    shutil.copytree(REPOSITORY / "models" / "demo-zh", tmp_path / "models" / "demo-zh")
    return tmp_path / "models"


def test_there_is_no_way_out() -> None:
    ran = cut_off(sys.executable, "-c", OUTSIDE)
    assert (ran.returncode, "unreachable" in ran.stderr) == (1, True)


def test_the_whole_stack_transcribes(models: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    ran = cut_off(
        *(sys.executable, "-m", "dev", "--once", "--data", data, "--port", str(free_port())),
        PARAQUEUE_MODEL="demo-zh",
        PARAQUEUE_MODEL_SOURCE="local",
        PARAQUEUE_MODELS_DIR=str(models),
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert "model_download" not in "".join(path.read_text() for path in (data / "logs").glob("*.log"))


def test_a_missing_model_is_an_error_that_names_the_files(models: Path) -> None:
    ran = cut_off(
        *(sys.executable, "-m", "worker.transcription.models"),
        PARAQUEUE_MODEL="paraformer-large-zh",
        PARAQUEUE_MODEL_SOURCE="local",
        PARAQUEUE_MODELS_DIR=str(models),
    )
    assert (ran.returncode, "asr/model.pt" in ran.stderr) == (1, True), ran.stderr


@pytest.mark.slow  # beside the stack, which has the same engine
def test_the_engine_alone_transcribes(tmp_path: Path) -> None:
    ran = cut_off(sys.executable, "-m", "paraqueue", "transcribe", SAMPLE, "--local", XDG_CONFIG_HOME=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert "。" in ran.stdout
