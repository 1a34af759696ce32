"""VAD alone on one thread: ours and FunASR's over the same samples, and the endpoint detector on its own."""

from __future__ import annotations

from bench.lab import Lab
from bench.remote import Run
from bench.report import Column, Report, spread

KINDS = {"ours": "vad-ours", "FunASR": "vad-funasr"}


def measure(lab: Lab, report: Report) -> None:
    """Add a table and the bars for the VAD."""
    files = lab.audio(1, lab.effort.vad_seconds, ("wav",))
    runs: dict[str, list[Run]] = {name: [] for name in KINDS}
    ours, peer = (lab.remote(kind, lab.demo, threads=1) for kind in KINDS.values())
    with ours, peer:
        for remote in (ours, peer):
            remote.run(lab.audio(1, lab.warmup_seconds))
        for _ in range(max(lab.effort.rounds, 3)):
            for name, remote in zip(KINDS, (ours, peer), strict=True):
                lab.say(f"VAD, {name}")
                runs[name].append(remote.run(files))
        machine = ours.stages([])
    segments = {name: {str(run.details["segments"]) for run in those} for name, those in runs.items()}
    identical = len(segments["ours"] | segments["FunASR"]) == 1
    table = report.table(
        f"VAD alone, one thread, {lab.effort.vad_seconds:g} s of audio",
        *(Column("contender"), Column("seconds", digits=3), Column("times", "x real time", 0), Column("segments")),
    )
    for name, those in runs.items():
        seconds = [run.details["seconds"] for run in those]
        times = spread(lab.effort.vad_seconds / one for one in seconds)
        table.add(contender=name, seconds=spread(seconds), times=times, segments=len(those[0].details["segments"][0]))
    table.add(
        contender="our end-point machine alone", seconds=machine["machine"], times=machine["audio"] / machine["machine"]
    )
    table.note(f"The segments of both are {'identical' if identical else 'DIFFERENT'}; our cutter is off.")
    pairs = zip(runs["FunASR"], runs["ours"], strict=True)
    faster = spread(peer.details["seconds"] / our.details["seconds"] for peer, our in pairs)
    report.bar("vad_ratio", faster.median, bar=3.0)
    report.bar("vad_segments_identical", float(identical), bar=1.0)
    report.bar("vad_machine_times_real_time", machine["audio"] / machine["machine"], bar=20_000.0)
