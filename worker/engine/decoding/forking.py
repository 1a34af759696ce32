"""Starts decoding children through a fork server, which is started at the first one. See `fork_server`."""

from __future__ import annotations

import atexit
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from common.telemetry import get_logger
from worker.engine.decoding.fork_server import READY, Ending, Request

log = get_logger(__name__)
ROOT = Path(__file__).parents[3]
DECODER = "worker.engine.decoding.child.main"
# Generous: the machine may be busy. After it, the server counts as hung.
START_SECONDS = 120.0
ANSWER_SECONDS = 15.0
END_SECONDS = 5.0
POLL_SECONDS = 0.02
MESSAGE_BYTES = 64
MOST_STARTS = 5
CRASHES = {-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL, -signal.SIGABRT, -signal.SIGFPE}
_LAUNCHER = """# Paraqueue's decoder
import json, sys
arguments = json.loads(sys.argv[1])
sys.path[:0] = arguments["path"]
from worker.engine.decoding.fork_server import serve
serve(arguments["socket"], arguments["module"])
"""


class Forked:
    """A child of the fork server, with the methods of `subprocess.Popen` that are needed."""

    def __init__(self, server: _Server, control: socket.socket, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._control = control
        self._ended = self._killed = False
        self._ending: Ending | None = None

    def kill(self) -> None:
        """End it. Does nothing if it has ended."""
        self._killed = True
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def wait(self) -> Ending | None:
        """Wait for its end, which it has a while to reach by itself; returns how it ended.

        None if the fork server ended before it said so, and the child with it.
        """
        if not self._ended:
            self._ended = True
            self._ending = self._awaited()
            self._control.close()
            if self._ending is None:
                self._server.kill()
                _reap(self.pid)
            elif self._ending.status in CRASHES:
                # All children share the server's addresses. A file that crashes the decoder learns nothing from that
                # about the addresses of the next one.
                self._server.retire()
        return self._ending

    def _awaited(self) -> Ending | None:
        """The server's message about its end; None if the server has ended, or gives none in time."""
        with suppress(TimeoutError):
            return self._said()
        if not self._killed:  # it has closed its output and goes on
            self.kill()
            with suppress(TimeoutError):
                return self._said()
        log.error("fork_server_hung", pid=self._server.process.pid)
        return None

    def _said(self) -> Ending | None:
        """The server's message; None if the server has ended. Raises TimeoutError."""
        try:
            said = self._control.recv(MESSAGE_BYTES)
        except TimeoutError:
            raise
        except OSError:
            return None
        return Ending.parse(said) if said else None


def _reap(pid: int) -> None:
    """End a child whose server has ended, and which is ours now if this process is the first of its container.

    The kernel has sent it a signal, but one that waits for a stalled disk does not end before the disk responds.
    """
    deadline = time.monotonic() + END_SECONDS
    with suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                log.error("decoder_does_not_end", pid=pid)
                return
            os.kill(pid, signal.SIGKILL)  # not reaped yet, so the id is still the child's
            time.sleep(POLL_SECONDS)


class _Server:
    """One running fork server, and the socket of its requests."""

    def __init__(self, module: str) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self.usable = True
        packages = (path for path in sys.path if path.endswith(("site-packages", "dist-packages")))
        arguments = {"path": [str(ROOT), *packages], "socket": theirs.fileno(), "module": module}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", "-c", _LAUNCHER, json.dumps(arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env={"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
            )
        self._requests.settimeout(START_SECONDS)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self.process.stderr is not None
        said = b""
        with suppress(OSError):
            said = self._requests.recv(MESSAGE_BYTES)
        if said != READY:
            self.kill()
            os.set_blocking(self.process.stderr.fileno(), False)  # if it has not ended, it may still write
            words = (self.process.stderr.read() or b"").decode("utf-8", "replace")
            self.process.stderr.close()
            raise RuntimeError(f"the decoding process does not start: {words[-1000:].strip() or 'it does not respond'}")
        self.process.stderr.close()

    def fork(self, request: bytes, descriptors: list[int]) -> Forked:
        """Start a child. Raises ConnectionError if the server has ended or hangs, OSError if it cannot fork."""
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, self._lock:
                socket.send_fds(self._requests, [request], [*descriptors, theirs.fileno()])
            control.settimeout(ANSWER_SECONDS)
            said = control.recv(MESSAGE_BYTES)
        except OSError as error:
            control.close()
            if self.usable:  # otherwise it was retired in the meantime, and others still use it
                self.kill()
            raise ConnectionError("the decoding process has ended") from error
        if not said:
            control.close()
            self.usable = False
            raise ConnectionError("the decoding process has ended")
        pid = int(said)
        if pid < 0:
            control.close()
            raise OSError(-pid, os.strerror(-pid))
        return Forked(self, control, pid)

    def retire(self) -> None:
        """Let it end when its last child has ended."""
        with self._lock:
            self.usable = False
            self._requests.close()

    def kill(self) -> None:
        """End it at once, and its children with it."""
        self.usable = False
        self.process.kill()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            log.error("fork_server_does_not_end", pid=self.process.pid)
        with self._lock:
            self._requests.close()

    def end(self) -> None:
        """Retire it and wait for its end."""
        self.retire()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


class ForkServer:
    """Starts children that run `main` of a module. Thread-safe; for one process: after a fork it starts anew."""

    def __init__(self, module: str = DECODER) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._owner = 0
        self._retired: list[_Server] = []

    def start(self, file: io.FileIO, request: Request) -> tuple[Forked, io.FileIO, io.FileIO]:
        """Start a child that reads `file`; returns it, its output and its error output.

        Raises RuntimeError if no child can be started: the decoder cannot be imported, or the server dies each time.
        """
        with ExitStack() as ours, ExitStack() as of_child:
            out, out_of_child = _pipe(ours, of_child)
            errors, errors_of_child = _pipe(ours, of_child)
            child = self._fork(request.dump(), [file.fileno(), out_of_child, errors_of_child])
            ours.pop_all()
        return child, io.FileIO(out), io.FileIO(errors)

    @property
    def pid(self) -> int | None:
        """The process id of the server, if one runs."""
        return self._server.process.pid if self._server is not None else None

    def close(self) -> None:
        """End the server. The next child starts another."""
        with self._lock:
            server, self._server = self._server, None
            if server is not None and self._owner == os.getpid():
                server.end()

    def _fork(self, request: bytes, descriptors: list[int]) -> Forked:
        for _ in range(MOST_STARTS):
            server = self.usable()
            try:
                return server.fork(request, descriptors)
            except ConnectionError:
                log.warning("fork_server_ended", pid=server.process.pid)
        raise RuntimeError("the decoding process ends whenever it is asked for a child")

    def usable(self) -> _Server:
        """Return a running server; start one if there is none."""
        with self._lock:
            if self._owner != os.getpid():
                self._server, self._owner, self._retired = None, os.getpid(), []
            if self._server is None or not self._server.usable:
                if self._server is not None:
                    self._retired.append(self._server)
                self._retired = [server for server in self._retired if server.process.poll() is None]
                self._server = _Server(self._module)
            return self._server


def _pipe(ours: ExitStack, of_child: ExitStack) -> tuple[int, int]:
    """Open a pipe; each stack closes its end."""
    read, write = os.pipe()
    ours.callback(os.close, read)
    of_child.callback(os.close, write)
    return read, write


DECODERS = ForkServer()
atexit.register(DECODERS.close)
