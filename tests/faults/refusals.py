"""A Valkey that answers but takes no writes: a replica after a fail-over, one without memory, one without replicas."""

from __future__ import annotations

import time

import httpx
import redis

from tests.faults.scene import Fault, Injected, Scene, Struck

# How it is made to refuse, and to take writes again.
WAYS = {
    "READONLY": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "OOM": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    "NOREPLICAS": (
        ("CONFIG", "SET", "min-replicas-to-write", "1"),
        ("CONFIG", "SET", "min-replicas-to-write", "0"),
    ),
}
READY_SECONDS = 60.0


def refuse_writes(scene: Scene) -> Injected:
    """In each way for a while; processes that end meanwhile are noted."""
    began = time.time()
    readiness: dict[str, int] = {}
    with redis.Redis.from_url(scene.stack.valkey.url()) as client:
        for way, (begin, end) in WAYS.items():
            client.execute_command(*begin)
            try:
                scene.outage()
                readiness[way] = httpx.get(f"{scene.stack.url}/health/ready", timeout=READY_SECONDS).status_code
            finally:
                client.execute_command(*end)
    ended = [name for name in scene.stack.names if not scene.stack.children[name].running]
    return Injected(began, time.time(), {"ended": ended, "readiness": readiness})


def nobody_ended(scene: Scene, injected: Injected, struck: Struck) -> None:  # noqa: ARG001 (as all checks)
    assert not injected.facts["ended"], "processes ended because Valkey refused to write"
    assert set(injected.facts["readiness"].values()) == {503}, injected.facts


FAULTS = (Fault("Valkey refuses to write", "processes wait until it takes writes again", refuse_writes, nobody_ended),)
