"""A Valkey that answers but takes no writes: a replica after a fail-over, one without memory, replicas or snapshots."""

from __future__ import annotations

import time

import httpx
import redis

from tests.broken_valkey import REFUSALS
from tests.faults.scene import Fault, Injected, Scene, Struck

READY_SECONDS = 60.0


def refuse_writes(scene: Scene) -> Injected:
    """In each way for a while; processes that end in the meantime are recorded."""
    began = time.time()
    readiness: dict[str, int] = {}
    with redis.Redis.from_url(scene.stack.valkey.url()) as client:
        for refusal in REFUSALS:
            with refusal.on(client):
                scene.outage()
                answer = httpx.get(f"{scene.stack.url}/health/ready", timeout=READY_SECONDS)
                readiness[refusal.name] = answer.status_code
    ended = [name for name in scene.stack.names if not scene.stack.children[name].running]
    return Injected(began, time.time(), {"ended": ended, "readiness": readiness})


def nobody_ended(scene: Scene, injected: Injected, struck: Struck) -> None:  # noqa: ARG001 (as all checks)
    assert not injected.facts["ended"], "processes ended because Valkey refused to write"
    assert set(injected.facts["readiness"].values()) == {503}, injected.facts


FAULTS = (Fault("Valkey refuses to write", "processes wait until it takes writes again", refuse_writes, nobody_ended),)
