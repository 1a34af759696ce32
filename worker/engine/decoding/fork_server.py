"""The process that forks decoding children. It has imported their libraries; that takes longer than most clips.

It has one thread and handles no audio itself. Its parent sends a request with four descriptors (the file, the two pipes
that become the child's output and errors, and a control socket) and reads two messages from the control socket: the
child's process id, or the number of an error as a negative number; and an `Ending`. Whatever is sent there, and its
end, ends the child. So nothing outlives the parent.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Self

READY = b"ready"
REQUEST_BYTES = 64 * 1024
DESCRIPTORS = 4
FIRST_OTHER_DESCRIPTOR = 3
MOST_DESCRIPTORS = 65_536
CHILD_DESCRIPTORS = 64
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
# As `ps -o comm` shows them
SERVER_NAME = b"pq-decoders"
CHILD_NAME = b"pq-decoding"
# The parent decides when its children end, also when a terminal or a service manager signals the whole group.
PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_prctl = ctypes.CDLL(None).prctl
Main = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Request:
    """A child to start: its order, and its limits, seconds of processor time and bytes of address space."""

    cpu_seconds: int
    memory_bytes: int
    order: dict[str, Any]

    def dump(self) -> bytes:
        """Encode it for the server."""
        fields = {"cpu_seconds": self.cpu_seconds, "memory_bytes": self.memory_bytes, "order": self.order}
        return json.dumps(fields).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The inverse of `dump`. Raises ValueError for anything else."""
        fields = json.loads(data)
        match fields:
            case {"cpu_seconds": int(cpu_seconds), "memory_bytes": int(memory_bytes), "order": dict(order)}:
                return cls(cpu_seconds, memory_bytes, order)
        raise ValueError("the request has other fields")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended: its exit status, negative for a signal, and the processor time that it took."""

    status: int
    cpu_seconds: float

    def dump(self) -> bytes:
        """Encode it for the parent."""
        return f"{self.status} {self.cpu_seconds:.3f}".encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The inverse of `dump`."""
        status, cpu_seconds = data.split()
        return cls(int(status), float(cpu_seconds))


def serve(descriptor: int, module: str) -> None:
    """Serve the requests on a socket until the parent closes it and all children have ended."""
    for number in PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    main: Main = importlib.import_module(module).main
    _prctl(PR_SET_NAME, SERVER_NAME)
    gc.collect()
    gc.freeze()  # a collection in a child would copy these pages
    with socket.socket(fileno=descriptor) as requests:
        requests.send(READY)
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)  # until here, errors go to the parent
        _Server(requests, main).run()


class _Server:
    def __init__(self, requests: socket.socket, main: Main) -> None:
        self._requests = requests
        self._main = main
        self._children: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ, self._accept)
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        self._wake = wake
        self._selector.register(woken, selectors.EVENT_READ, lambda: self._reap(woken))
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler, nothing is written to the wake-up socket
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._open = True

    def run(self) -> None:
        while self._open or self._children:
            for key, _ in self._selector.select():
                key.data()

    def _accept(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._requests, REQUEST_BYTES, DESCRIPTORS)
        if len(descriptors) != DESCRIPTORS:
            self._open = False
            self._selector.unregister(self._requests)
            return
        *files, control = descriptors
        pid = self._forked(data, files)
        for file in files:
            os.close(file)
        with suppress(OSError):  # the parent has given up
            os.write(control, str(pid).encode())
        if pid < 0:
            os.close(control)
            return
        self._children[pid] = socket.socket(fileno=control)
        self._selector.register(control, selectors.EVENT_READ, lambda: self._end(pid, control))

    def _forked(self, data: bytes, files: list[int]) -> int:
        """The process id of the new child; if there is none, the negative number of the error."""
        parent = os.getpid()
        try:
            request = Request.parse(data)
            pid = os.fork()
        except ValueError:
            return -errno.EINVAL
        except OSError as error:
            return -(error.errno or errno.EAGAIN)
        if pid == 0:
            _become_child(request, files, parent, self._main)
        return pid

    def _end(self, pid: int, control: int) -> None:
        if pid not in self._children:  # reaped since `select` returned
            return
        self._selector.unregister(control)
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so the id is still the child's

    def _reap(self, woken: socket.socket) -> None:
        with suppress(BlockingIOError):
            woken.recv(REQUEST_BYTES)
        while self._children:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            control = self._children.pop(pid)
            with suppress(KeyError):  # it was ended by its parent
                self._selector.unregister(control)
            with suppress(OSError):  # the parent has ended
                control.send(Ending(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime).dump())
            control.close()


def _become_child(request: Request, files: list[int], parent: int, main: Main) -> NoReturn:
    """Run the decoder under its limits on the given input, output and error output, and exit."""
    status = 1
    try:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(PR_SET_NAME, CHILD_NAME)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for target, file in enumerate(files):
            os.dup2(file, target)
        os.closerange(FIRST_OTHER_DESCRIPTOR, MOST_DESCRIPTORS)
        os.set_blocking(2, False)  # a full pipe is nothing to wait for
        limits = {"CPU": request.cpu_seconds, "AS": request.memory_bytes, "FSIZE": 0, "CORE": 0}
        limits["NOFILE"] = CHILD_DESCRIPTORS
        for name, limit in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
        main(request.order)
        status = 0
    except BaseException:
        with suppress(BaseException):
            traceback.print_exc()
    finally:
        os._exit(status)
