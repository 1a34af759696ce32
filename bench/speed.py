"""Compares whole-pipeline speed: every contender is loaded once, then measured in turn, round after round."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.lab import Lab
from bench.remote import Refused, Remote, Run
from bench.report import Column, Report, Spread, Table, Value, spread

AUTOMODEL = "FunASR AutoModel"
OURS = "ours, 8 files at once"
COLUMNS = (
    Column("contender"),
    Column("audio"),
    Column("wall", "wall, s", 1),
    Column("times", "x real time", 1),
    Column("cpu", "CPU, s", 1),
    Column("rss", "peak RSS, MiB", 0),
    Column("gpu", "GPU, MiB", 0),
    Column("padding", "padded / real"),
    Column("idle", "device idle", 2),
    Column("words", digits=0),
)


@dataclass(frozen=True)
class Entrant:
    """A contender of the speed table."""

    name: str
    kind: str
    precision: str = "fp32"
    at_once: int = 1
    note: str = ""
    batch_size_s: int | None = None
    """Of AutoModel, if not the default."""


def entrants(at_once: int) -> list[Entrant]:
    """All contenders, starting with the peer used for comparison."""
    return [
        Entrant(AUTOMODEL, "funasr"),
        Entrant("funasr-onnx, quantised", "funasr-onnx", "int8"),
        Entrant("sherpa-onnx, quantised", "sherpa-onnx", "int8", note="recognition only: no VAD, no punctuation"),
        Entrant("ours, one file after the other", "ours", at_once=1),
        Entrant(f"ours, {at_once} files at once", "ours", at_once=at_once),
        Entrant(f"ours int8, {at_once} files at once", "ours", "int8", at_once=at_once),
    ]


def gpu_entrants(at_once: int) -> list[Entrant]:
    """Contenders on a GPU: ours in every precision; an unsupported precision is refused."""
    return [
        Entrant(AUTOMODEL, "funasr"),
        *(Entrant(f"ours {one}, {at_once} files at once", "ours", one, at_once) for one in ("bf16", "fp32", "fp16")),
        Entrant(f"{AUTOMODEL}, batch_size_s=1200", "funasr", batch_size_s=1200),
    ]


def measure(lab: Lab, report: Report, chosen: Sequence[Entrant]) -> dict[str, list[Run]]:
    """Measure all contenders over the same files and add their table; returns their runs by name."""
    effort = lab.effort
    files = lab.audio(effort.files, effort.file_seconds)
    runs: dict[str, list[Run]] = {}
    with ExitStack() as stack:
        running = _start(lab, chosen, stack, report)
        for _ in range(effort.rounds):
            for name, (_, remote) in list(running.items()):
                lab.say(f"{name}: {len(files)} files of {effort.file_seconds:g} s")
                try:
                    runs.setdefault(name, []).append(remote.run(files))
                except Refused as error:
                    refuse(report, name, str(error))
                    del running[name]
        table = report.table(f"Whole pipeline, {len(files)} files of {effort.file_seconds:g} s", *COLUMNS)
        for name, measured_runs in runs.items():
            add_row(
                table,
                name,
                f"{len(files)} x {effort.file_seconds:g} s",
                measured_runs,
                effort.files * effort.file_seconds,
            )
        _note(table, chosen, runs)
        _stages(lab, report, running, files)
        if effort.long_seconds:
            _long(lab, report, running)
    return runs


def at_once(lab: Lab, report: Report, counts: Sequence[int], precision: str) -> None:
    """Measure one engine with different numbers of files at once, and add their table."""
    effort = lab.effort
    different = lab.audio(effort.files, effort.file_seconds)
    with lab.remote("ours", lab.bundle, precision, at_once=max(counts)) as remote:
        remote.run(lab.audio(1, lab.warmup_seconds))
        table = report.table(f"Whole pipeline by files at once, ours {precision}", *COLUMNS)
        for count in counts:
            files = (different * (count // len(different) + 1))[:count]
            lab.say(f"ours {precision}: {count} files at once")
            runs = [remote.run(files) for _ in range(effort.rounds)]
            audio = f"{count} x {effort.file_seconds:g} s"
            add_row(table, f"{count} at once", audio, runs, count * effort.file_seconds)
        table.note(f"{len(different)} different files, repeated.")


def add_row(table: Table, name: str, audio: str, runs: Sequence[Run], seconds: float) -> None:
    """Add a contender's runs as a row; each run had `seconds` of audio."""
    table.add(
        contender=name,
        audio=audio,
        wall=spread(run.wall_seconds for run in runs),
        times=spread(seconds / run.wall_seconds for run in runs),
        cpu=spread(run.cpu_seconds for run in runs),
        rss=max(run.peak_rss_mib for run in runs),
        gpu=None if runs[0].gpu_mib is None else max(run.gpu_mib or 0.0 for run in runs),
        padding=_detail(runs, "padded_over_real"),
        idle=_detail(runs, "device_idle_share"),
        words=runs[-1].words,
    )


def ratio(peer: Sequence[Run] | None, ours: Sequence[Run] | None, field: str = "wall_seconds") -> Spread | None:
    """How many times faster ours is, round by round; None if either is missing."""
    if not peer or not ours:
        return None
    return spread(getattr(one, field) / getattr(other, field) for one, other in zip(peer, ours, strict=False))


def _start(lab: Lab, chosen: Sequence[Entrant], stack: ExitStack, report: Report) -> dict[str, tuple[Entrant, Remote]]:
    """The contenders that could be loaded, warmed up with a short file; the others are noted in the report."""
    warmup = lab.audio(1, lab.warmup_seconds)
    running: dict[str, tuple[Entrant, Remote]] = {}
    for one in chosen:
        lab.say(f"{one.name}: loading")
        try:
            more = {} if one.batch_size_s is None else {"batch_size_s": one.batch_size_s}
            remote = stack.enter_context(lab.remote(one.kind, lab.bundle, one.precision, at_once=one.at_once, **more))
            remote.run(warmup)
            if one.kind == "sherpa-onnx":  # it segments files in its first run
                remote.run(lab.audio(lab.effort.files, lab.effort.file_seconds))
        except Refused as error:
            refuse(report, one.name, str(error))
        else:
            running[one.name] = (one, remote)
    return running


def refuse(report: Report, name: str, why: str) -> None:
    """Note in the report why a contender has no numbers."""
    refused = next((table for table in report.tables if table.title == "Not measured"), None)
    refused = refused or report.table("Not measured", Column("contender"), Column("why"))
    refused.add(contender=name, why=why)


def _note(table: Table, chosen: Sequence[Entrant], runs: dict[str, list[Run]]) -> None:
    for one in chosen:
        if one.note and one.name in runs:
            table.note(f"{one.name}: {one.note}.")


def _stages(lab: Lab, report: Report, running: dict[str, tuple[Entrant, Remote]], files: Sequence[Path]) -> None:
    """Measure the time per stage, in one more run of each contender."""
    by_contender: dict[str, dict[str, float]] = {}
    for name, (_, remote) in running.items():
        lab.say(f"{name}: time per stage")
        stages = remote.stages(files[: max(len(files) // 2, 1)])
        if stages:
            by_contender[name] = stages
    names = list(dict.fromkeys(stage for stages in by_contender.values() for stage in stages if stage != "all"))
    columns = [Column("contender"), *(Column(name, f"{name}, s") for name in [*names, "all"])]
    table = report.table("Time per stage, half of the files", *columns)
    for name, stages in by_contender.items():
        cells: dict[str, Value] = {"contender": name, **stages}
        table.add(**cells)
    table.note(
        "One further run each. Ours: seconds of the threads that work in a stage, of which there are as many as cores; "
        "its wall time is `all`."
    )


def _long(lab: Lab, report: Report, running: dict[str, tuple[Entrant, Remote]]) -> None:
    """Measure single long files: ten minutes in each format, an hour as mp3; one run each."""
    wanted = ("funasr", "funasr-onnx", "ours")
    table = report.table("Single long files, one run each", *COLUMNS)
    first, *others = lab.effort.long_seconds
    files = [(first, path) for path in lab.audio(3, first)]
    files += [(seconds, lab.audio(2, seconds, ("mp3",))[1]) for seconds in others]
    for name, (one, remote) in running.items():
        if (one.kind in wanted and one.at_once == 1) or (one.kind, one.precision) == ("ours", "int8"):
            for seconds, path in files:
                lab.say(f"{name}: {path.name}")
                add_row(table, name, f"{path.suffix[1:]}, {seconds / 60:g} min", [remote.run([path])], seconds)


def _detail(runs: Sequence[Run], name: str) -> Spread | None:
    values = [run.details[name] for run in runs if run.details.get(name) is not None]
    return spread(values) if values else None
