"""Child processes that never outlive this process, however it ends.

Each child asks the kernel for a signal on the death of its parent (`PR_SET_PDEATHSIG`), so that not even a SIGKILL
of this process leaves children behind. A child's output goes to a file, whose last lines show why it ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.account import Account

MAX_LOG_BYTES = 16 * 1024 * 1024
REPORT_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class StackError(Exception):
    """The stack cannot start or continue; the message is for the person at the terminal."""


class Stop(BaseException):
    """A signal requested shutdown. Not an Exception, so that no handler on the way treats it as an error."""

    def __init__(self, number: int) -> None:
        self.number = number


_received: list[int] = []


def heed_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP interrupt our waits; a second signal ends all grace periods.

    The handler only records the signal, which `pause` reads: an exception raised in a handler can be lost if the
    handler happens to run inside a destructor.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: _received.append(received))


def pause(seconds: float) -> None:
    """Sleep for that many seconds; raise Stop if a signal has arrived. All waiting uses this function."""
    time.sleep(seconds)
    if _received:
        raise Stop(_received[0])


@dataclass(frozen=True)
class Child:
    """A running child process; `name` is its display name."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def running(self) -> bool:
        """Return whether it is still running."""
        return self.process.poll() is None

    def check(self) -> None:
        """Raise StackError, with the last lines of its log, if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise StackError(f"{self.name} ended with {_exit_words(code)}{self._last_words()}")

    def wait(self, seconds: float) -> None:
        """Wait until it exits successfully; raise StackError, with the last lines of its log, otherwise."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                self.stop(seconds=0)
                raise StackError(f"{self.name} did not end within {seconds:.0f} s{self._last_words()}")
            pause(0.02)
        if self.process.returncode != 0:
            self.check()

    def stop(self, seconds: float) -> None:
        """Ask the child to end, wait at most `seconds`, then kill it and the rest of its process group."""
        stop_all([self], seconds)

    def bound_log(self) -> None:
        """Rotate a log that has grown too large; the child opens it for appending, so it is not affected."""
        if self.log.stat().st_size > MAX_LOG_BYTES:
            older = self.log.with_suffix(".1.log")
            older.unlink(missing_ok=True)
            with self.log.open("rb") as source, open(older, "xb", opener=_private) as copy:
                os.sendfile(copy.fileno(), source.fileno(), 0, MAX_LOG_BYTES)
            os.truncate(self.log, 0)

    def tail(self, lines: int = 8) -> list[str]:
        """Return the last lines of its log, without empty ones."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
        return [line[:400] for line in text.splitlines() if line.strip()][-lines:]

    def _last_words(self) -> str:
        output = self.tail()
        return f" ({self.log}); it said last:\n" + "\n".join(f"    {line}" for line in output) if output else ""


def spawn(
    name: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str],
    cwd: Path,
    account: Account | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    death_signal: signal.Signals = signal.SIGKILL,
    stdin: bytes = b"",
) -> Child:
    """Start `command` in its own session, with its output in `log`, which is truncated first.

    `death_signal` is sent to the child when this process dies; `account` is the user it runs as, ours by default. Call
    it on the main thread: the kernel sends the signal when the *thread* that started the child ends.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children are started on the main thread, whose end is that of the process")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with open(log, "ab", opener=_private) as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,  # Ctrl-C in the terminal must reach only us; we stop the children in order
            # Between fork and exec it makes only system calls, so it cannot block on a lock held by one of our threads.
            preexec_fn=_prepare(os.getpid(), death_signal, account),
        )
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(stdin)
    return Child(name, process, log, stop_signal)


def stop_all(children: Sequence[Child], seconds: float) -> None:
    """Ask all of them to end at once, wait at most `seconds` in total, then kill the rest of their process groups.

    A second signal to this process ends the wait.
    """
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(child.stop_signal)
    deadline = time.monotonic() + seconds
    while any(not _ended(child) for child in children) and time.monotonic() < deadline and len(_received) < 2:
        time.sleep(0.02)
    for child in children:
        # Not reaped yet, so the process group ID cannot have been reused.
        if child.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose own parent dies, so that `kill_orphans` finds them."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_orphans() -> None:
    """Kill all remaining children, adopted ones included, and their children, until none is left."""
    while pids := _child_pids():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def end_with_parent() -> None:
    """Request a SIGTERM for this process when its parent dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def free_port() -> int:
    """Return a TCP port of the loopback interface that is currently free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port; raise StackError if we lack permission."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except PermissionError:
            raise StackError(f"port {port} needs rights that you do not have; take one above 1023") from None
        except OSError:
            return False
    return True


def wait_until(ready: Callable[[], bool], children: Sequence[Child], seconds: float, what: str) -> None:
    """Poll until `ready()`; raise StackError if one of the children ends or the time is up."""
    wait_for(lambda: "" if ready() else what, children, seconds)


def wait_for(
    missing: Callable[[], str], children: Sequence[Child], seconds: float, report: Callable[[str], None] | None = None
) -> None:
    """Poll until `missing()`, which says what is not ready yet, is empty.

    `report` receives what is missing every REPORT_SECONDS. Raises StackError if one of the children ends or the time
    is up.
    """
    start = time.monotonic()
    reports = 0
    while what := missing():
        for child in children:
            child.check()
        waited = time.monotonic() - start
        if waited > seconds:
            logs = f"; the logs are in {children[-1].log.parent}" if children else ""
            raise StackError(f"{what} within {seconds:.0f} s{logs}")
        if report is not None and waited > (reports + 1) * REPORT_SECONDS:
            reports += 1
            report(what)
        pause(0.05)


def _prepare(parent: int, death_signal: signal.Signals, account: Account | None) -> Callable[[], None]:
    """Return the function that the child runs between fork and exec; it must neither import nor take a lock."""

    def prepare() -> None:
        if account is not None:
            account.become()
        # Must follow the change of user, which clears it.
        if _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _ended(child: Child) -> bool:
    """Return whether it has ended, without reaping it."""
    if child.process.returncode is not None:
        return True
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, child.process.pid, options) is not None


def _child_pids() -> list[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in listed.read_text().split()] if listed.exists() else []


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _exit_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
