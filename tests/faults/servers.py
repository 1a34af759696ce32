"""Faults of the servers: PostgreSQL, Valkey, S3, the disk, and webhook receivers."""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.faults.scene import Fault, Injected, Scene, Struck
from tests.faults.stack import Stack

FILL_BYTES = 1024 * 1024


def lose_valkey(scene: Scene) -> Injected:
    """FLUSHALL first, to lose messages that are just being received as well; then the server itself, for a while."""
    began = time.time()
    with redis.Redis.from_url(scene.stack.valkey.url()) as client:
        client.flushall()
    scene.stack.stop_valkey()
    scene.outage()
    scene.stack.start_valkey()
    return Injected(began, time.time())


def restart_postgres(scene: Scene) -> Injected:
    """At random shut down, or crashed."""
    began = time.time()
    scene.stack.stop_postgres(scene.rng.choice([signal.SIGINT, signal.SIGQUIT]))
    scene.outage()
    scene.stack.start_postgres()
    return Injected(began, time.time())


def cut_connections(scene: Scene) -> Injected:
    """All of them, some times in a row."""
    began = time.time()
    cut = 0
    for _ in range(scene.rng.randint(1, 3)):
        cut += len(
            scene.stack.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name LIKE 'paraqueue%%' AND pid <> pg_backend_pid()"
            )
        )
        time.sleep(scene.rng.uniform(0.0, 0.7))
    assert cut > 0
    return Injected(began, time.time())


def stop_store(scene: Scene) -> Injected:
    scene.load.wait_for_streaming()
    began = time.time()
    scene.stack.stop_store()
    scene.outage()
    scene.stack.start_store()
    return Injected(began, time.time())


def fill_disk(scene: Scene) -> Injected:
    """While an upload is running. If a small disk cannot be mounted, no file may grow beyond a few bytes instead."""
    scene.load.wait_for_streaming()
    refused = _refusals(scene)
    began = time.time()
    with _full_disk(scene.stack):
        scene.outage()
        scene.load.upload_until(lambda: _refusals(scene) > refused)
    return Injected(began, time.time(), {"refused": _refusals(scene) - refused})


def _refusals(scene: Scene) -> int:
    return scene.load.refused["507 storage_full"]


@contextmanager
def _full_disk(stack: Stack) -> Iterator[None]:
    if stack.small_disk is None:
        pid = stack.children["api"].process.pid
        kept = resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, kept)
        return
    filler = stack.small_disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            _fill(file.fileno())
        yield
    finally:
        filler.unlink()


def _fill(descriptor: int) -> None:
    piece = bytes(FILL_BYTES)
    while len(piece) > 0:
        try:
            os.write(descriptor, piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            piece = piece[: len(piece) // 2]


def uploads_were_refused(scene: Scene, injected: Injected, struck: Struck) -> None:  # noqa: ARG001 (as all checks)
    assert injected.facts["refused"] > 0, scene.load.refused


def annoy_receiver(scene: Scene) -> Injected:
    """Until it was annoyed in every way: an error, silence, a reset connection, and a redirect."""
    receiver = scene.stack.receiver
    refused = receiver.refused
    began = time.time()
    receiver.turn_angry()
    try:
        deadline = time.monotonic() + scene.stack.outage_seconds + 180
        scene.outage()
        while receiver.refused < refused + 4 and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        receiver.calm_down()
    return Injected(began, time.time(), {"refused": receiver.refused - refused})


def every_mood_was_met(scene: Scene, injected: Injected, struck: Struck) -> None:  # noqa: ARG001 (as all checks)
    assert injected.facts["refused"] >= 4
    assert not scene.stack.receiver.misled, "a redirect was followed"


FAULTS = (
    Fault("Valkey emptied and restarted", "messages are hints: jobs are announced again", lose_valkey),
    Fault("PostgreSQL restarted", "work waits for it; what was not committed is done again", restart_postgres),
    Fault("database connections cut", "each write is tried again", cut_connections),
    Fault("S3 down", "uploads are refused, jobs wait and try again", stop_store, storage="s3", clients=True),
    Fault("disk full", "uploads are refused with 507 and leave nothing", fill_disk, uploads_were_refused, "disk", True),
    Fault("webhook receiver broken", "tried again until it answers", annoy_receiver, every_mood_was_met),
)
