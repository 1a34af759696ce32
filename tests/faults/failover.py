"""PostgreSQL fails over: the primary is demoted and still answers, and a standby becomes the primary."""

from __future__ import annotations

import time

import httpx
import psycopg

from tests.faults.scene import Fault, Injected, Scene, Struck

PROMOTED_SECONDS = 60.0
READY_SECONDS = 60.0


def fail_over(scene: Scene) -> Injected:
    """The old primary stops accepting writes but keeps responding for the length of an outage."""
    with scene.between():
        standby = scene.stack.start_standby()
    scene.load.wait_for_work()
    scene.enough()
    old = scene.stack.postgres
    began = time.time()
    with psycopg.connect(old.url(), autocommit=True) as operator:
        operator.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        operator.execute("SELECT pg_reload_conf()")
        scene.outage()
        demoted = _readiness(scene)
        # Nothing is written any more: the standby is complete when it has replayed everything.
        reached = operator.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
    assert reached is not None
    with psycopg.connect(standby.url(), autocommit=True) as operator:
        _wait_for(operator, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", reached[0])
        operator.execute("SELECT pg_promote(wait_seconds => 60)")
    over = time.time()
    scene.stack.postgres = standby
    scene.stack.wait_ready("api")
    deadline = time.monotonic() + READY_SECONDS
    while _readiness(scene) != 200:
        assert time.monotonic() < deadline, "the API does not find the new primary"
        time.sleep(0.2)
    found_after = time.time() - over
    scene.outage()
    old.child.stop(10)
    return Injected(began, over, {"demoted": demoted, "found_after_s": found_after})


def _readiness(scene: Scene) -> int:
    return httpx.get(f"{scene.stack.url}/health/ready", timeout=READY_SECONDS).status_code


def _wait_for(connection: psycopg.Connection, query: str, value: str) -> None:
    deadline = time.monotonic() + PROMOTED_SECONDS
    while connection.execute(query, [value]).fetchone() != (True,):
        assert time.monotonic() < deadline, "the standby does not catch up"
        time.sleep(0.1)


def it_was_noticed(scene: Scene, injected: Injected, struck: Struck) -> None:  # noqa: ARG001 (as all checks)
    assert injected.facts["demoted"] == 503, "a primary that takes no writes passed for ready"


FAULTS = (
    Fault("PostgreSQL failed over", "work goes on with the new primary", fail_over, it_was_noticed, clients=True),
)
