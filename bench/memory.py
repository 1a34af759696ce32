"""Memory: a file of several hours compared with one of ten minutes, and the process after many jobs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.audio import MEETING, ffmpeg_program
from bench.lab import Lab
from bench.report import Column, Report

ALLOWED_MIB = 200.0
ALLOWED_GROWTH_MIB = 50.0
MEETING_SECONDS = 227.7


def measure(lab: Lab, report: Report) -> None:
    """Add a table and the memory bars."""
    hours = lab.effort.memory_hours
    short, long = (_looped(lab.cache / "audio", seconds) for seconds in (600.0, hours * 3600))
    table = report.table(
        "Memory of the engine's process, demo-zh",
        *(
            Column("what"),
            Column("seconds", "wall, s", 1),
            Column("peak", "peak RSS, MiB", 0),
            Column("grown", "more, MiB", 0),
        ),
    )
    with lab.remote("memory", lab.demo, at_once=8) as remote:
        lab.say("memory: ten minutes, twice")
        remote.run([short])  # memory kept after the first file is not attributed to any file
        ten = remote.run([short])
        table.add(what="10 minutes of mp3", seconds=ten.wall_seconds, peak=ten.peak_rss_mib)
        lab.say(f"memory: {hours:g} hours")
        whole = remote.run([long])
        more = whole.peak_rss_mib - ten.peak_rss_mib
        table.add(what=f"{hours:g} hours of mp3", seconds=whole.wall_seconds, peak=whole.peak_rss_mib, grown=more)
        lab.say(f"memory: {lab.effort.jobs} jobs")
        files = lab.audio(8, lab.effort.job_seconds)
        jobs = remote.run([files[number % len(files)] for number in range(lab.effort.jobs)])
        held = jobs.details["rss_mib"]
        growth = held[-1] - held[len(held) // 2 - 1]
        what = f"{lab.effort.jobs} jobs of {lab.effort.job_seconds:g} s, the second half of them"
        table.add(what=what, seconds=jobs.wall_seconds, peak=jobs.peak_rss_mib, grown=growth)
    table.note(f"Held after every tenth job, MiB: {', '.join(f'{one:.0f}' for one in held)}.")
    report.bar("memory_long_file_more_mib", more, bar=ALLOWED_MIB, at_most=True)
    report.bar("memory_growth_over_jobs_mib", growth, bar=ALLOWED_GROWTH_MIB, at_most=True)


def _looped(directory: Path, seconds: float) -> Path:
    """The sample repeated without re-encoding, to at least the given length."""
    path = directory / f"meeting-{seconds:g}s.mp3"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        times = int(seconds // MEETING_SECONDS)
        command = [
            ffmpeg_program(),
            "-nostdin",
            "-loglevel",
            "error",
            "-y",
            "-stream_loop",
            str(times),
            "-i",
            str(MEETING),
        ]
        subprocess.run([*command, "-t", str(seconds), "-c", "copy", "-write_xing", "0", str(path)], check=True)
    return path
