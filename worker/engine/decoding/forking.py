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
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from common.telemetry import get_logger
from worker.engine.decoding.fork_server import READY

log = get_logger(__name__)
ROOT = Path(__file__).parents[3]
DECODER = "worker.engine.decoding.child"
# Generous: the machine may be busy. After it, the server counts as hung.
START_SECONDS = 120.0
ANSWER_SECONDS = 15.0
END_SECONDS = 5.0
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
    """A child of the fork server, with the methods of `subprocess.Popen` that are needed.

    `wait` returns its exit status; None if the fork server ended before it said so, and the child with it.
    """

    def __init__(self, server: _Server, control: socket.socket, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._control = control
        self._ended = self._killed = False
        self._status: int | None = None

    def kill(self) -> None:
        """End it. Does nothing if it has ended."""
        self._killed = True
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def wait(self) -> int | None:
        """Wait for its end; it has a while to exit by itself."""
        if self._ended:
            return self._status
        said = self._said()
        if said is None and not self._killed:  # it has closed its output and goes on
            self.kill()
            said = self._said()
        if said is None:
            log.error("fork_server_hung", pid=self._server.process.pid)
            self._server.kill()
        self._ended = True
        self._status = int(said) if said else None
        if self._status is None:
            self._server.kill()
            with suppress(ChildProcessError):  # it is ours now if this process is the first of its container
                os.waitpid(self.pid, 0)
        self._control.close()
        if self._status in CRASHES:
            # All children share the server's addresses. A file that crashes the decoder learns nothing from that
            # about the addresses of the next one.
            self._server.retire()
        return self._status

    def _said(self) -> bytes | None:
        """The server's message; empty if the server has ended, None if none came in time."""
        try:
            return self._control.recv(MESSAGE_BYTES)
        except TimeoutError:
            return None
        except OSError:
            return b""


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
            words = self.process.stderr.read().decode("utf-8", "replace")
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
        self.process.wait()
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

    def start(self, file: io.FileIO, request: dict[str, Any]) -> tuple[Forked, io.FileIO, io.FileIO]:
        """Start a child that reads `file`; returns it, its output and its error output.

        Raises RuntimeError if no child can be started: the decoder cannot be imported, or the server dies each time.
        """
        with ExitStack() as ours, ExitStack() as of_child:
            out, out_of_child = _pipe(ours, of_child)
            errors, errors_of_child = _pipe(ours, of_child)
            child = self._fork(json.dumps(request).encode(), [file.fileno(), out_of_child, errors_of_child])
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
