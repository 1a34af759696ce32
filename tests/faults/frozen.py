"""Processes that are frozen in the middle of a transaction, with its locks."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from common.jobs.scheduling.dispatch import DISPATCH_LOCK
from tests.faults.processes import taken_back_in_time
from tests.faults.scene import Fault, Injected, Scene

CAUGHT_SECONDS = 60.0
# Far more than the promise of 30 s, for a machine that is busy: the figure is in the facts.
WENT_ON_SECONDS = 90.0
# The process that waits for our lock of a table while it holds the dispatch lock.
IN_DISPATCH: LiteralString = f"""
SELECT client_port FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND wait_event = 'relation' AND pid IN (
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = {DISPATCH_LOCK}
)
"""
IN_A_COMMIT: LiteralString = """
SELECT client_port FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND wait_event = 'relation' AND pid IN (
    SELECT pid FROM pg_locks WHERE relation = 'parts'::regclass AND NOT granted
)
"""


def freeze_dispatcher(scene: Scene) -> Injected:
    """Freeze any process in the middle of dispatching, until others have dispatched."""
    with _frozen(scene, "tenants", IN_DISPATCH, scene.stack.names) as (name, began):
        dispatched = "SELECT 1 FROM jobs WHERE greatest(dispatched_at, started_at) > to_timestamp(%s)"
        took = _wait(lambda: bool(scene.stack.query(dispatched, began)), "nobody dispatches")
    return Injected(began, time.time(), {"frozen": name, "dispatch_went_on_s": took})


def freeze_worker_in_commit(scene: Scene) -> Injected:
    """A worker that has locked its job's row, until the job has been taken from it."""
    with _frozen(scene, "parts", IN_A_COMMIT, scene.stack.workers) as (name, began):
        lost = "SELECT 1 FROM attempts WHERE outcome = 'lost' AND ended_at > to_timestamp(%s) AND worker LIKE %s"
        worker = f"%-{scene.stack.children[name].process.pid}-%"
        took = _wait(lambda: bool(scene.stack.query(lost, began, worker)), "its jobs are not taken back")
    return Injected(began, began, {"frozen": name, "taken_back_s": took})


@contextmanager
def _frozen(
    scene: Scene, table: LiteralString, caught: LiteralString, names: tuple[str, ...]
) -> Iterator[tuple[str, float]]:
    """Stop the first process that waits for a lock of the table, as `caught` finds it; then give it the lock."""
    children = {name: scene.stack.children[name].process for name in names}
    url = scene.stack.postgres.url()
    with psycopg.connect(url, autocommit=True) as watching, psycopg.connect(url) as holding:
        holding.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        name = _caught(watching, caught, {name: child.pid for name, child in children.items()})
        children[name].send_signal(signal.SIGSTOP)
        began = time.time()
    try:
        yield name, began
    finally:
        children[name].send_signal(signal.SIGCONT)


def _caught(watching: psycopg.Connection, query: LiteralString, pids: dict[str, int]) -> str:
    deadline = time.monotonic() + CAUGHT_SECONDS
    while time.monotonic() < deadline:
        for (port,) in watching.execute(query).fetchall():
            inode = _inode_of(port)
            for name, pid in pids.items():
                if inode is not None and _has_open(pid, f"socket:[{inode}]"):
                    return name
        time.sleep(0.02)
    raise AssertionError("no process came to the point where it was to be frozen")


def _inode_of(port: int) -> str | None:
    """The socket that is bound to a local port and connected."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *rest = line.split()
        if int(local.partition(":")[2], 16) == port and state == "01":
            return rest[5]
    return None


def _has_open(pid: int, link: str) -> bool:
    pattern = re.compile(re.escape(link))
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if pattern.fullmatch(str(path.readlink())):
                return True
        except FileNotFoundError:  # closed in the meantime
            continue
    return False


def _wait(holds: Callable[[], bool], what: str) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < WENT_ON_SECONDS, what
        time.sleep(0.1)
    return time.monotonic() - began


FAULTS = (
    Fault(
        "process frozen in dispatch",
        "the server ends its transaction, others go on dispatching",
        freeze_dispatcher,
        clients=True,
    ),
    Fault(
        "worker frozen in a commit",
        "the server ends its transaction, its jobs are taken back",
        freeze_worker_in_commit,
        taken_back_in_time,
        clients=True,
    ),
)
