"""A unit test starts no process, opens no connection and loads no torch: that is what keeps `make test-fast` fast.

The rule is enforced by an audit hook, which Python calls before each of these. What loads torch at import is found by
`tests/deploy/test_layout.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

FORBIDDEN = {
    "subprocess.Popen": "starts a process",
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a process",
    "socket.connect": "opens a connection",
    "socket.bind": "runs a server",
}
_running: list[str] = []
_broken: list[str] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if not _running:
        return
    if event in FORBIDDEN:
        reason = FORBIDDEN[event]
    elif event == "import" and arguments[0] == "torch":
        reason = "imports torch"
    else:
        return
    # Kept as well: the code under test may swallow the exception.
    _broken.append(f"{_running[-1]} {reason}: it is no unit test; move it to another folder of tests/")
    raise AssertionError(_broken[-1])


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def _pure(request: pytest.FixtureRequest) -> Iterator[None]:
    _running.append(request.node.nodeid)
    yield
    _running.clear()
    broken = list(_broken)
    _broken.clear()
    assert not broken, broken[0]
