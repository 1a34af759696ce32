"""Every fault many times in random order, under load that never stops: `make soak`.

Twenty times each take hours. With `--add`, a run continues those before it: it causes the faults that came most seldom
so far, and its counts are added to theirs (`bench/results/soak_pieces.json`). Several such runs may go on at once.

All random choices follow from the seed, which is printed and written down. What the threads and processes make of
them depends on the machine: the same seed causes the same faults in the same order, not at the same instruction.
"""

from __future__ import annotations

import argparse
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psycopg

from common.queue import CLEAN
from dev.process import StackError
from dev.stack import REPOSITORY
from tests.faults import measures, pieces
from tests.faults.catalogue import FAULTS
from tests.faults.load import Audio, Load, make_audio, undisturbed
from tests.faults.pieces import Piece
from tests.faults.rounds import cause
from tests.faults.scene import Fault, Scene
from tests.faults.stack import running_stack
from tests.faults.verdict import Verdict, orphans, settle, verdict

STORAGES = ("disk", "s3")
ROUNDS = 20
# The cache of the tests: synthesis takes longer than everything else before the first fault.
RECORDINGS = REPOSITORY / ".pytest_cache" / "d" / "recordings"
# The share of a limited soak for faults; the rest is for starting, stopping and checking the stacks.
SHARE_OF = {"disk": 0.64, "s3": 0.28}


@dataclass
class Leg:
    """The part of a soak that one stack goes through."""

    storage: str
    verdict: Verdict | None = None
    rounds: list[pieces.Row] = field(default_factory=list)
    audio: pieces.Audio = field(default_factory=pieces.Audio)
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How long, how often, and which random numbers."""

    seed: int
    rounds: int
    seconds: float | None
    outage_seconds: float
    in_flight: int

    add: bool = False
    before: list[Piece] = field(default_factory=list)

    @property
    def earlier(self) -> Counter[tuple[str, str]]:
        """How often each fault was caused by earlier pieces."""
        return pieces.caused(self.before)

    def of(self, storage: str) -> list[Fault]:
        """The faults of a leg in order: those that came most seldom first, at random among these.

        Faults that suit both kinds of storage are divided between the legs.
        """
        rng = random.Random(f"{self.seed} {storage}")
        order: list[tuple[int, float, Fault]] = []
        for fault in FAULTS:
            if fault.storage not in {"any", storage}:
                continue
            shared = fault.storage == "any"
            times = self.rounds if not shared else (self.rounds + (storage == "disk")) // 2
            done = self.earlier[fault.name, storage]
            # The leg on disk comes first and has had each of the shared ones once.
            behind = int(shared and storage == "s3")
            order += [(number + behind, rng.random(), fault) for number in range(done, times)]
        return [fault for _, _, fault in sorted(order, key=lambda item: item[:2])]

    def must_come(self, storage: str) -> set[str]:
        """The names of the faults of a leg that come once even if the time is up; none if others came before."""
        if self.earlier:
            return set()
        return {
            fault.name for fault in FAULTS if fault.storage == storage or (fault.storage == "any" and storage == "disk")
        }


def main() -> int:
    """Run the soak, print its results, write bench/results/soak.json; returns 1 if anything was lost."""
    plan = _plan(sys.argv[1:])
    signal.signal(signal.SIGTERM, _stop)
    print(f"seed {plan.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="paraqueue-soak-") as place:
        files = make_audio(_directory(Path(place) / "audio"))
        legs = []
        for storage in STORAGES:
            leg, files = _leg(plan, storage, Path(place) / storage, files, began)
            legs.append(leg)
    piece = measures.piece_of(legs, plan, time.monotonic() - began)
    together = pieces.add(piece) if plan.add else [piece]
    report = measures.report(together)
    report.show()
    print(f"\nwritten to {report.write().relative_to(REPOSITORY)}")
    return 1 if any(piece.counts[name] for name in pieces.NOTHING) else 0


def _plan(arguments: list[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, help="stop after about so long, but not before each fault came once")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each fault comes")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--outage-seconds", type=float, default=10.0, help="how long servers stay away")
    parser.add_argument("--in-flight", type=int, default=4, help="jobs that are unfinished at any time")
    parser.add_argument("--add", action="store_true", help="continue earlier runs with this option, and add to them")
    given = parser.parse_args(arguments)
    seconds = None if given.minutes is None else given.minutes * 60
    before = pieces.load() if given.add else []
    return Plan(given.seed, given.rounds, seconds, given.outage_seconds, given.in_flight, given.add, before)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the form of signal handlers)
    """End as with Ctrl-C: everything started is stopped on the way out."""
    raise KeyboardInterrupt


def _directory(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _leg(plan: Plan, storage: str, place: Path, files: list[Audio], began: float) -> tuple[Leg, list[Audio]]:
    """One stack from start to end; the files come back with what an undisturbed run says of them."""
    leg = Leg(storage)
    with ExitStack() as kept:
        stack = kept.enter_context(running_stack(_directory(place), storage, outage_seconds=plan.outage_seconds))
        if not all(audio.sentences for audio in files):
            files = undisturbed(stack, files)
        measures.watch_progress(stack)
        load = kept.enter_context(Load(stack, files, random.Random(f"load {plan.seed}")).running())
        scene = Scene(stack, load, random.Random(f"moments {plan.seed} {storage}"), plan.seed)
        load.keep(plan.in_flight)
        for fault in _until_time_is_up(plan, storage, began):
            leg.rounds.append(_round(fault, scene))
        settle(stack, load)
        leg.verdict = verdict(stack, load)
        leg.audio = measures.audio_of(stack)
        leg.refused = dict(load.refused)
        if leg.verdict.complaints() or any(row.complaint for row in leg.rounds):
            print(f"{storage}: {leg.verdict.complaints()}", file=sys.stderr, flush=True)
            measures.keep_logs(stack)
    return leg, files


def _until_time_is_up(plan: Plan, storage: str, began: float) -> Iterator[Fault]:
    """The faults of a leg until its share of the time is over, but at least those that must come."""
    faults, must = plan.of(storage), plan.must_come(storage)
    if plan.seconds is None:
        yield from faults
        return
    share = sum(SHARE_OF[name] for name in STORAGES[: STORAGES.index(storage) + 1])
    for fault in faults:
        if not must and time.monotonic() - began > plan.seconds * share:
            return
        must.discard(fault.name)
        yield fault


def _round(fault: Fault, scene: Scene) -> pieces.Row:
    """One fault; failures are recorded, and the soak continues."""
    began = time.monotonic()
    row = pieces.Row(fault.name, scene.stack.storage)
    try:
        survived = cause(fault, scene)
        row.recovery_seconds = survived.recovery_seconds
        row.taken_back_seconds = [
            item.ended - survived.injected.began
            for item in survived.struck.ended_by(survived.injected, "lost")
            if item.ended is not None
        ]
    except (AssertionError, StackError, subprocess.TimeoutExpired, psycopg.Error) as error:
        row.complaint = f"{type(error).__name__}: {error}"[:500]
    row.orphans = orphans(scene.stack)
    row.seconds = time.monotonic() - began
    scene.stack.send_task(CLEAN)  # beat asks every ten minutes: too seldom for the small disk
    print(row, flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
