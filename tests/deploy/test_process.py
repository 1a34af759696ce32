"""Children end with us: when we stop them, when they will not stop, and when we are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dev.process import Child, StackError, port_is_free, spawn, stop_all, wait_for
from dev.stack import REPOSITORY
from tests.waiting import until

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def start(place: Path, code: str, name: str = "child") -> Child:
    return spawn(name, [sys.executable, "-c", code], place / f"{name}.log", env=os.environ, cwd=place)


def wait_for_line(log: Path) -> str:
    until(lambda: log.exists() and log.read_text().endswith("\n"), what="the process said nothing")
    return log.read_text().strip()


def alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    until(lambda: not alive(pid), what=f"process {pid} was not gone")


def test_a_child_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    child = start(tmp_path, "import sys; print('first'); sys.exit('the disk is full')", "worker")
    child.process.wait()
    with pytest.raises(StackError, match=r"^worker ended with exit code 1 (?s:.*)the disk is full$"):
        child.check()


def test_a_killed_child_is_told_by_the_name_of_the_signal(tmp_path: Path) -> None:
    child = start(tmp_path, STUBBORN)
    child.process.kill()
    child.process.wait()
    with pytest.raises(StackError, match="child ended with signal SIGKILL"):
        child.check()


def test_what_ignores_sigterm_is_killed_with_its_own_children(tmp_path: Path) -> None:
    code = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); "
    code += "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(p.pid, flush=True); p.wait()"
    child = start(tmp_path, code)
    grandchild = int(wait_for_line(child.log).replace("up", "").split()[0])
    child.stop(seconds=0.5)
    wait_until_gone(grandchild)


def test_several_are_stopped_at_once_not_one_after_the_other(tmp_path: Path) -> None:
    """Each ends only when all have been asked to end: stopped in turn, the first would be killed."""
    code = f"""
import os, signal, sys, time
from pathlib import Path
place = Path({str(tmp_path)!r})
def stop(*_):
    (place / f"{{os.getpid()}}.told").touch()
    while len(list(place.glob("*.told"))) < 3:
        time.sleep(0.02)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
while True:
    signal.pause()
"""
    children = [start(tmp_path, code, f"child{number}") for number in range(3)]
    for child in children:
        wait_for_line(child.log)
    stop_all(children, seconds=60)
    assert [child.process.returncode for child in children] == [0, 0, 0]


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from dev.process import spawn\n"
        f"child = spawn('child', [sys.executable, '-c', {STUBBORN!r}], Path({str(tmp_path)!r}) / 'child.log', "
        "env=os.environ, cwd=Path.cwd())\n"
        "print(child.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=REPOSITORY)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    wait_for_line(tmp_path / "child.log")
    assert alive(pid)
    parent.kill()
    parent.communicate()
    wait_until_gone(pid)


def test_starting_from_another_thread_is_refused(tmp_path: Path) -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            start(tmp_path, "pass")
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_a_log_begins_anew_and_is_private(tmp_path: Path) -> None:
    (tmp_path / "child.log").write_text("of the last start\n")
    child = start(tmp_path, "print('of this start')")
    child.wait(20)
    assert child.log.read_text() == "of this start\n"
    assert child.log.stat().st_mode & 0o777 == 0o600


def test_a_log_that_grew_too_large_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.process.MAX_LOG_BYTES", 1000)
    child = start(tmp_path, "print('x' * 5000, flush=True); input(); print('after')")
    child.process.wait()  # stdin is empty, so input() fails after the first line
    child.bound_log()
    assert child.log.stat().st_size == 0
    assert (tmp_path / "child.1.log").stat().st_size == 1000


def test_a_child_writes_on_after_its_log_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.process.MAX_LOG_BYTES", 10)
    code = "import signal, sys; signal.signal(signal.SIGUSR1, lambda *_: (print('after', flush=True), sys.exit()))"
    child = start(tmp_path, f"{code}; print('x' * 500, flush=True); signal.pause()")
    wait_for_line(child.log)
    child.bound_log()
    child.process.send_signal(signal.SIGUSR1)
    child.wait(20)
    assert child.log.read_text() == "after\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may take every port")
def test_a_low_port_needs_rights() -> None:
    with pytest.raises(StackError, match="rights"):
        port_is_free(80)


def test_waiting_reports_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.process.REPORT_SECONDS", 0.0)
    child = start(tmp_path, "input()")
    answers = iter(["the database", "the worker", "the worker", ""])
    reports: list[str] = []
    wait_for(lambda: next(answers), [], 60.0, reports.append)
    assert reports == ["the database", "the worker", "the worker"]
    child.process.wait()
    with pytest.raises(StackError, match="ended with"):
        wait_for(lambda: "the worker", [child], 60.0)


def test_waiting_ends_with_what_is_still_missing(tmp_path: Path) -> None:
    child = start(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(StackError, match=f"the worker within 0 s; the logs are in {tmp_path}"):
        wait_for(lambda: "the worker", [child], 0.0)
    stop_all([child], 0.0)
