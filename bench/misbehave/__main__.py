"""`make bench-misbehave`: a well-behaved tenant beside one that misbehaves, on one installation with default limits.

The well-behaved tenant submits a clip of 3 s every 0.8 s as a form and polls it every 50 ms. Rounds in which it is
alone alternate with rounds in which another tenant misbehaves in all ways at once, or in one of them; in the control,
the same load goes to a server that answers with nothing. The bar: no p95 more than doubles.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench.audio import recording
from bench.misbehave.attacks import KINDS
from bench.misbehave.good import CLIP_SECONDS, GoodTenant
from bench.misbehave.rounds import NothingMeasured, Rounds
from bench.misbehave.stack import running
from bench.misbehave.tables import report_of

CLIPS = 8
QUIET, ALL, CONTROL = "quiet", "all at once", "control: all at once, sent to a sink"
EVERYTHING = list(KINDS)
ALTERNATING = [QUIET, ALL, QUIET, ALL, QUIET, CONTROL]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.misbehave", description=__doc__)
    parser.add_argument("--seconds", type=float, help="length of one round (14; quick: 7)")
    parser.add_argument("--quick", action="store_true", help="shorter rounds, and no kind alone; writes no file")
    parser.add_argument("--only", choices=KINDS, help="one kind alone, between quiet rounds; writes no file")
    options = parser.parse_args()
    alone = [part for kind in KINDS for part in (kind, QUIET)]
    plan = [QUIET, options.only, QUIET, options.only, QUIET] if options.only else [*ALTERNATING, QUIET]
    plan += [] if options.only or options.quick else alone
    seconds = options.seconds or (7.0 if options.quick else 14.0)
    with tempfile.TemporaryDirectory(prefix="paraqueue-bench-") as directory:
        place = Path(directory)
        place.chmod(0o711)
        try:
            rounds = run(place, plan, seconds)
        except NothingMeasured as error:
            print(f"bench.misbehave: {error}", file=sys.stderr)
            return 1
    report = report_of(rounds.done, quiet=QUIET, control=CONTROL, everything=ALL, seconds=seconds)
    report.show()
    if not (options.only or options.quick):
        print(report.write())
    return 0


def run(place: Path, plan: list[str], seconds: float) -> Rounds:
    """Run the rounds of a plan on a new installation; a first one, which warms it up, is not kept."""
    clips = [recording(place / "clips", CLIP_SECONDS, number) for number in range(CLIPS)]
    with running(place) as installation:
        print("ready", file=sys.stderr)
        tenant = GoodTenant(
            installation.port, installation.new_key("well-behaved"), [clip.read_bytes() for clip in clips]
        )
        rounds = Rounds(installation, tenant, str(clips[0]), seconds)
        rounds.run("warm-up", [])
        rounds.done.clear()
        began = time.monotonic()
        for name in plan:
            kinds = [] if name == QUIET else EVERYTHING if name in {ALL, CONTROL} else [name]
            made = rounds.run(name, kinds, sink=name == CONTROL)
            passed = time.monotonic() - began
            print(
                f"{passed:.0f} s: {name}, {len(made.samples.clip_to_text)} clips, load {made.load:.1f}", file=sys.stderr
            )
    return rounds


if __name__ == "__main__":
    sys.exit(main())
