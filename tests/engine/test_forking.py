"""The process that forks the decoding children: its children are limited, end with their parent, and harm no others."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.waiting import until
from worker.engine.decoding import forking
from worker.engine.decoding.fork_server import Request
from worker.engine.decoding.forking import Forked, ForkServer

REPOSITORY = Path(__file__).parents[2]
PARENT = """
import sys
from worker.engine.decoding.fork_server import Request
from worker.engine.decoding.forking import ForkServer
server = ForkServer("tests.engine.odd_decoder")
with open(sys.argv[1], "rb", buffering=0) as file:
    child, *_ = server.start(file, Request(60, 1 << 30, {"do": "sleep"}))
print(child.pid, server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server() -> Iterator[ForkServer]:
    server = ForkServer("tests.engine.odd_decoder")
    yield server
    server.close()


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "audio"
    path.write_bytes(b"the bytes of the file")
    return path


def begun(server: ForkServer, audio: Path, **order: Any) -> tuple[Forked, io.FileIO, io.FileIO]:
    with audio.open("rb", buffering=0) as file:
        return server.start(file, Request(60, 1 << 30, order))


def ended(server: ForkServer, audio: Path, **order: Any) -> tuple[int | None, bytes, bytes]:
    """The exit status, the output and the error output of a child."""
    child, out, errors = begun(server, audio, **order)
    with out, errors:
        said = out.read(), errors.read()
    return status_of(child), *said


def status_of(child: Forked) -> int | None:
    """The exit status of a child that has ended; None if its server has ended without telling it."""
    ending = child.wait()
    return None if ending is None else ending.status


def told(server: ForkServer, audio: Path) -> dict[str, Any]:
    status, out, errors = ended(server, audio, do="tell")
    assert (status, errors) == (0, b"")
    answer: dict[str, Any] = json.loads(out)
    return answer


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_child_has_its_file_and_no_other_and_its_limits(server: ForkServer, audio: Path) -> None:
    for _ in range(2):
        answer = told(server, audio)
        assert answer["files"] == [0, 1, 2]
        assert answer["input"] == "the bytes of the file"
        wanted = {"CPU": 60, "AS": 1 << 30, "FSIZE": 0, "NOFILE": 64, "CORE": 0}
        assert answer["limits"] == {name: [limit, limit] for name, limit in wanted.items()}


def test_children_come_from_one_server(server: ForkServer, audio: Path) -> None:
    assert len({told(server, audio)["server"] for _ in range(3)}) == 1


def test_a_failure_is_told_on_the_error_output(server: ForkServer, audio: Path) -> None:
    status, out, errors = ended(server, audio, do="fail")
    assert (status, out) == (1, b"")
    assert b"ValueError: this decoder fails" in errors


@pytest.mark.parametrize(
    "request_bytes", [b"", b"{", b"[]", b"{}", b'{"cpu_seconds": "1", "memory_bytes": 1, "order": {}}']
)
def test_a_malformed_request_is_refused_and_the_server_goes_on(
    request_bytes: bytes, server: ForkServer, audio: Path
) -> None:
    before = told(server, audio)["server"]
    with audio.open("rb", buffering=0) as file, pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        server.usable().fork(request_bytes, [file.fileno()] * 3)
    assert told(server, audio)["server"] == before


def test_limits_that_the_kernel_refuses_are_told_on_the_error_output(server: ForkServer, audio: Path) -> None:
    with audio.open("rb", buffering=0) as file:
        child, out, errors = server.start(file, Request(60, 1 << 70, {}))
    with out, errors:
        assert b"setrlimit" in errors.read()
        assert status_of(child) == 1


def test_the_processor_time_of_a_child_is_told(server: ForkServer, audio: Path) -> None:
    with audio.open("rb", buffering=0) as file:
        child, out, errors = server.start(file, Request(1, 1 << 30, {"do": "compute and tell"}))
    with out, errors:
        told = float(out.readline())
        errors.read()  # until it has reached its limit
        ending = child.wait()
    assert ending is not None
    assert ending.status in {-signal.SIGKILL, -signal.SIGXCPU}
    assert ending.cpu_seconds >= round(told, 3)


def test_an_orphan_of_ours_is_ended() -> None:
    """As if this process were the first of a container, whose fork server has died."""
    orphan = subprocess.Popen(["sleep", "600"])
    forking._reap(orphan.pid)
    assert not alive(orphan.pid)
    forking._reap(orphan.pid)  # not ours any more
    orphan.wait()


def test_an_orphan_that_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for a dead disk ends only when the disk responds; here there is no time to wait at all."""
    monkeypatch.setattr(forking, "END_SECONDS", -1.0)
    with subprocess.Popen(["sleep", "600"]) as orphan, capture_logs() as logs:
        forking._reap(orphan.pid)
        assert alive(orphan.pid)
        assert logs == [{"event": "decoder_does_not_end", "pid": orphan.pid, "log_level": "error"}]
        orphan.kill()


def test_a_child_is_ended_at_once(server: ForkServer, audio: Path) -> None:
    child, out, errors = begun(server, audio, do="sleep")
    with out, errors:
        child.kill()
        assert status_of(child) == -signal.SIGKILL
        assert status_of(child) == -signal.SIGKILL
        assert not alive(child.pid)


def test_after_a_crash_the_next_child_comes_from_another_server_and_others_go_on(
    server: ForkServer, audio: Path
) -> None:
    before = told(server, audio)["server"]
    sleeper, out, errors = begun(server, audio, do="sleep")
    with out, errors:
        assert ended(server, audio, do="crash")[0] == -signal.SIGSEGV
        assert told(server, audio)["server"] != before
        assert alive(sleeper.pid)
        assert alive(before)
        sleeper.kill()
        assert status_of(sleeper) == -signal.SIGKILL
    until(lambda: not alive(before))


def test_children_end_with_their_server_and_the_next_one_has_a_new_one(server: ForkServer, audio: Path) -> None:
    before = told(server, audio)["server"]
    sleeper, out, errors = begun(server, audio, do="sleep")
    with out, errors:
        os.kill(before, signal.SIGKILL)
        assert sleeper.wait() is None
        until(lambda: not alive(sleeper.pid))
    assert told(server, audio)["server"] != before


def test_a_frozen_server_is_replaced(server: ForkServer, audio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = told(server, audio)["server"]
    os.kill(before, signal.SIGSTOP)
    monkeypatch.setattr(forking, "ANSWER_SECONDS", 1.0)
    with audio.open("rb", buffering=0) as file, pytest.raises(ConnectionError):
        server.usable().fork(b"{}", [file.fileno()] * 3)
    assert not alive(before)
    monkeypatch.undo()
    assert told(server, audio)["server"] != before


def test_a_child_of_a_frozen_server_is_ended_without_waiting_twice(
    server: ForkServer, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper, out, errors = begun(server, audio, do="sleep")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    monkeypatch.setattr(forking, "ANSWER_SECONDS", 1.0)
    with out, errors:
        sleeper.kill()
        assert sleeper.wait() is None
    until(lambda: not alive(sleeper.pid))


@pytest.mark.parametrize("killed", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_parent(killed: signal.Signals, audio: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(audio)]
    parent = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert [alive(pid) for pid in pids] == [True, True]
        for pid in pids:  # what a service manager sends to all at once ends neither of them before their parent
            os.kill(pid, signal.SIGTERM)
        assert [alive(pid) for pid in pids] == [True, True]
        parent.send_signal(killed)
        until(lambda: not any(map(alive, pids)))


def test_many_at_once(server: ForkServer, audio: Path) -> None:
    kinds = ["tell", "fail", "tell", "crash"] * 15
    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(lambda what: ended(server, audio, do=what), kinds))
    expected = {"tell": 0, "fail": 1, "crash": -signal.SIGSEGV}
    assert [outcome[0] for outcome in outcomes] == [expected[kind] for kind in kinds]


def test_a_decoder_that_cannot_be_imported_is_named() -> None:
    with (
        closing(ForkServer("worker.no_such_module")) as server,
        Path(__file__).open("rb", buffering=0) as file,
        pytest.raises(RuntimeError, match=r"No module named 'worker\.no_such_module'"),
    ):
        server.start(file, Request(1, 1 << 30, {}))
