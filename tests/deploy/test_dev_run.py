"""The whole stack as `make run` starts it, ended in every way that a stack can end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from dev.process import free_port
from dev.stack import REPOSITORY
from tests.waiting import until

PROGRAMS = {"postgres", "valkey-server", "worker.transcription", "worker.light", "api.main", "beat", "flower"}


class Run:
    """One `python -m dev` with its output so far."""

    def __init__(self, data: Path, *arguments: str, under_shell: bool = False) -> None:
        self.data = data
        self.port = free_port()
        self.stdout = data.parent / "stdout.txt"
        self.stderr = data.parent / "stderr.txt"
        command = [sys.executable, "-m", "dev", "--data", str(data), f"--port={self.port}", *arguments]
        if under_shell:
            # As make does: a process of its own that waits for the stack.
            command = ["sh", "-c", '"$@" & wait', "sh", *command]
        with self.stdout.open("w") as stdout, self.stderr.open("w") as stderr:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=stdout, stderr=stderr)

    def wait_for(self, text: str, seconds: float = 90) -> None:
        until(lambda: text in self.stdout.read_text() or self.process.poll() is not None, max(60, seconds), text)
        assert text in self.stdout.read_text(), self.stdout.read_text() + self.stderr.read_text()

    def wait_until_nothing_is_left(self, seconds: float = 30) -> None:
        until(lambda: not self.left(), max(60, seconds), f"{self.left()} left")

    def left(self) -> dict[int, str]:
        """Processes that were started for this data directory: each of them names it somewhere."""
        commands = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or entry.name == str(os.getpid()):
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                # The servers write over their command and environment, but not over where they work.
                everything = command + (entry / "environ").read_bytes() + os.fsencode((entry / "cwd").readlink())
            except OSError:
                continue
            if os.fsencode(self.data) in everything:
                commands[int(entry.name)] = command.replace(b"\0", b" ").decode()
        return commands

    def running(self) -> set[str]:
        """Which of PROGRAMS run."""
        lines = self.left().values()
        return {program for program in PROGRAMS if any(program in line for line in lines)}

    def pid_of(self, program: str) -> int:
        return next(pid for pid, line in self.left().items() if program in line)


@contextmanager
def running(data: Path, *arguments: str, under_shell: bool = False) -> Iterator[Run]:
    run = Run(data, *arguments, under_shell=under_shell)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.wait()
        run.wait_until_nothing_is_left()


def operate(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dev.operate", *arguments]
    environment = dict(os.environ) | {"PARAQUEUE_DATA": str(data)}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for the whole file: each start finds what the one before left."""
    return tmp_path_factory.mktemp("run") / "data"


def test_a_killed_stack_leaves_nothing_behind_and_starts_again(data: Path) -> None:
    with running(data, "--no-demo") as run:
        run.wait_for("serving")
        until(lambda: run.running() == PROGRAMS, max(60, 10), "all programs")
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
        run.wait_until_nothing_is_left(seconds=10)
    with running(data, "--no-demo") as run:
        run.wait_for("serving")
        assert "bringing the database up to date" not in run.stdout.read_text()
        shown = re.search(r"pq_live_[\w-]{43}", run.stdout.read_text())
        assert shown is not None, "the first key is made and told"
        url, header = f"http://127.0.0.1:{run.port}/v1/keys", {"Authorization": f"Bearer {shown[0]}"}
        calls = [httpx.get(url, headers=headers, timeout=30, trust_env=False) for headers in (header, {})]
        assert [answer.status_code for answer in calls] == [200, 401]
        doctor = operate(data, "doctor")
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr
        assert "ok    api       ready" in doctor.stdout
        assert (data / "settings.json").stat().st_mode & 0o777 == 0o600
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(timeout=300) == 0
        assert run.left() == {}
        assert run.stderr.read_text() == ""


def test_a_service_that_dies_ends_the_stack_with_its_last_words(data: Path) -> None:
    with running(data, "--no-demo") as run:
        run.wait_for("serving")
        assert httpx.get(f"http://127.0.0.1:{run.port}/health/live").status_code == 200
        os.kill(run.pid_of("api.main"), signal.SIGKILL)
        assert run.process.wait(timeout=300) == 1
        assert run.left() == {}
        first, *rest = run.stderr.read_text().splitlines()
        assert re.fullmatch(rf"paraqueue: api ended with signal SIGKILL \({data}/logs/api\.log\); .*", first)
        assert rest
        assert all(line.startswith("    ") for line in rest)


def test_an_operator_command_without_a_stack_says_so(tmp_path: Path) -> None:
    ran = operate(tmp_path, "doctor")
    assert ran.returncode == 1
    assert ran.stderr == f"There is no stack in {tmp_path} (No such file or directory); start one with make run.\n"


def test_ctrl_c_while_starting_ends_everything(data: Path) -> None:
    with running(data, "--no-demo") as run:
        run.wait_for("starting the API")
        run.process.send_signal(signal.SIGINT)
        code = run.process.wait(timeout=300)
        # On a fast machine it may just have got ready, and ends then as it does later.
        assert code == (0 if "] ready" in run.stdout.read_text() else 128 + signal.SIGINT)
        assert run.left() == {}


def test_the_stack_ends_when_the_make_that_started_it_is_killed(data: Path) -> None:
    with running(data, "--no-demo", "--end-with-parent", under_shell=True) as run:
        run.wait_for("starting the API")
        run.process.kill()
        run.process.wait()
        run.wait_until_nothing_is_left(seconds=40)
