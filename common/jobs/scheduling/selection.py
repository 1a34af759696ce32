"""Selection: which jobs of a model's queue get its free slots; see `dispatch` for the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy.orm import Session

from common.jobs.scheduling.fairness import QueuedJob, Share, schedule_fairly
from common.jobs.scheduling.quarantine import WorkerLoad
from common.jobs.scheduling.queue_queries import (
    DispatchLimits,
    RunningCounts,
    WaitingTenant,
    full_keys,
    full_tenants,
    in_turn,
    next_jobs,
    present_tenants,
    priorities,
    tenants,
)

TENANTS_AT_A_TIME = 50
# With fewer slots, one that is kept free would cost too much.
KEEP_FREE_FROM_SLOTS = 4


@dataclass(frozen=True, slots=True)
class Room:
    """The slots of a model's workers that accept any job: the total, and the free ones."""

    model: str
    slots: int
    free: int

    @classmethod
    def of(cls, model: str, seats: Sequence[WorkerLoad], counts: RunningCounts) -> Self:
        """The room of these workers; the jobs that were announced take slots already."""
        free = sum(max(0, seat.slots - seat.running) for seat in seats) - counts.announced[model]
        return cls(model, sum(seat.slots for seat in seats), free)


class Queue:
    """The queue of a model as one dispatch reads it: everything at most once."""

    def __init__(self, session: Session, room: Room, limits: DispatchLimits) -> None:
        """Read nothing yet."""
        self._session = session
        self._room = room
        self._limits = limits
        self._priorities: Sequence[int] | None = None
        self._tenants: dict[int, Sequence[WaitingTenant]] = {}
        self._lines: dict[int, dict[str, list[QueuedJob]]] = {}

    def priorities(self) -> Sequence[int]:
        """Return the priorities of the waiting jobs, highest first."""
        if self._priorities is None:
            self._priorities = priorities(self._session, self._room.model)
        return self._priorities

    def tenants(self, priority: int, counts: RunningCounts) -> list[str]:
        """Return the tenants with jobs of a priority, in the order in which they are served now."""
        if priority not in self._tenants:
            self._tenants[priority] = tenants(self._session, self._room.model, priority)
        return in_turn(self._tenants[priority], counts.of_tenant)

    def lines(self, priority: int, names: Sequence[str], counts: RunningCounts) -> dict[str, list[QueuedJob]]:
        """Return the next jobs of these tenants, as many as there are free slots, oldest first."""
        known = self._lines.setdefault(priority, {})
        unread = [name for name in names if name not in known]
        if unread:
            model, slots, full = self._room.model, self._room.free, full_keys(self._session, counts)
            known |= {name: [] for name in unread}
            known |= next_jobs(self._session, model, priority, unread, slots=slots, full=full, limits=self._limits)
        return {name: known[name] for name in names}


def jobs_for(session: Session, room: Room, counts: RunningCounts, limits: DispatchLimits) -> list[QueuedJob]:
    """Return the jobs that get the free slots: first no tenant more than its share, then those that have jobs left.

    `counts` then include them.
    """
    queue = Queue(session, room, limits)
    share = Share(max(1, int(room.slots * limits.tenant_slot_share)), counts.of_model[room.model])
    taken = _by_priority(session, queue, room, counts, limits, share=share, taken=[])
    # Without a tenant at its share, the first round has taken all that can be.
    if len(taken) < room.free and any(share.reached(name) for name in share.held):
        share_alone = _share_beside_present(session, room, share)
        taken = _by_priority(session, queue, room, counts, limits, share=share_alone, taken=taken)
    return taken


def _share_beside_present(session: Session, room: Room, share: Share) -> Share | None:
    """The slots of a tenant while no other one waits: all, but one if another tenant was served seconds ago.

    Otherwise the next short recording of that one would wait until a long one ends.
    """
    if room.slots < KEEP_FREE_FROM_SLOTS or share.slots >= room.slots:
        return None
    present = present_tenants(session, room.model)
    return Share(room.slots - 1, share.held, exempt=present[0] if len(present) == 1 else None) if present else None


def _by_priority(
    session: Session,
    queue: Queue,
    room: Room,
    counts: RunningCounts,
    limits: DispatchLimits,
    *,
    share: Share | None,
    taken: list[QueuedJob],
) -> list[QueuedJob]:
    """Add jobs to those already taken: highest priority first, and fair between tenants within one priority."""
    for priority in queue.priorities():
        gone = {job.job_id for job in taken}
        closed = full_tenants(session, counts, limits)
        if share is not None:
            closed |= {name for name in share.held if share.reached(name)}
        waiting = [name for name in queue.tenants(priority, counts) if name not in closed]
        open_lines: dict[str, list[QueuedJob]] = {}
        # A few tenants at a time: tenants behind those that take all slots need not be read.
        while waiting and len(open_lines) < room.free - len(taken):
            page, waiting = waiting[:TENANTS_AT_A_TIME], waiting[TENANTS_AT_A_TIME:]
            lines = queue.lines(priority, page, counts)
            left = {name: [job for job in line if job.job_id not in gone] for name, line in lines.items()}
            open_lines |= {name: line for name, line in left.items() if line}
        taken = taken + schedule_fairly(
            open_lines, room.free - len(taken), running=counts.of_tenant, of_key=counts.of_key, share=share
        )
        if len(taken) == room.free:
            break
    return taken
