"""Every fault that the tests and the soak cause."""

from __future__ import annotations

from tests.faults import failover, frozen, messages, processes, refusals, servers
from tests.faults.scene import Fault

FAULTS: tuple[Fault, ...] = (
    *processes.FAULTS,
    *frozen.FAULTS,
    *servers.FAULTS,
    *refusals.FAULTS,
    *failover.FAULTS,
    *messages.FAULTS,
)


def on(storage: str) -> list[Fault]:
    """Those that can happen where audio is kept so."""
    return [fault for fault in FAULTS if fault.storage in {"any", storage}]
