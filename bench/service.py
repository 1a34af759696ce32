"""Compares the whole service with the bare engine: same files and settings, from API to stored transcript.

The stack is that of `make run`, with all its processes. A run begins with the first upload and ends when the last
transcript is stored. Bare engine and service take turns; the two runs of each round are compared.

Both keep all cores busy. So the total processor time of all service processes shows what wall time would show on an
otherwise idle machine; wall time itself is judged only if its rounds agree.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.lab import Lab
from bench.models import NAME
from bench.remote import Refused, Run
from bench.report import Column, Report, Table, spread
from bench.speed import COLUMNS, add_row
from bench.usage import family_cpu_seconds, memory_mib
from dev.process import free_port
from dev.stack import Options, Stack

BAR = 0.05
WAIT_SECONDS = 30
TERMINAL = {"completed", "failed", "canceled"}


def measure(lab: Lab, report: Report, precision: str = "fp32") -> None:
    """Add a table and the bar for the overhead."""
    try:
        runs = _runs(lab, precision)
    except Refused as error:
        report.table("Whole service", Column("why")).add(why=str(error))
        return
    effort = lab.effort
    table = report.table(f"Whole service, {precision}, {effort.files} files of {effort.file_seconds:g} s", *COLUMNS)
    seconds = effort.files * effort.file_seconds
    audio = f"{effort.files} x {effort.file_seconds:g} s"
    add_row(table, "the bare engine", audio, runs.bare, seconds)
    add_row(table, "API to stored transcript", audio, runs.whole, seconds)
    table.note("CPU and memory of the service are those of its worker; its idle share is not known from outside.")
    _judge_time(report, table, runs)
    _judge_cpu(report, table, runs)


@dataclass(frozen=True)
class _Runs:
    """The rounds of the bare engine and of the service, in the same order."""

    bare: list[Run]
    whole: list[Run]
    all_cpu_seconds: list[float]
    """CPU time of all the service's processes in each round, servers included."""


def _runs(lab: Lab, precision: str) -> _Runs:
    effort = lab.effort
    files = lab.audio(effort.files, effort.file_seconds)
    runs = _Runs([], [], [])
    with (
        lab.remote("ours", lab.bundle, precision, at_once=effort.files) as engine,
        _service(lab, precision, effort.files) as stack,
    ):
        engine.run(lab.audio(1, lab.warmup_seconds))
        _transcribe(stack, lab.audio(1, lab.warmup_seconds))
        for _ in range(effort.rounds):
            lab.say("service: the bare engine")
            runs.bare.append(engine.run(files))
            lab.say("service: the whole service")
            before = _all_cpu_seconds(stack)
            runs.whole.append(_transcribe(stack, files))
            runs.all_cpu_seconds.append(_all_cpu_seconds(stack) - before)
    return runs


def _judge_time(report: Report, table: Table, runs: _Runs) -> None:
    pairs = list(zip(runs.whole, runs.bare, strict=True))
    overhead = spread(one.wall_seconds / other.wall_seconds - 1 for one, other in pairs)
    table.note(f"The service takes {100 * overhead.median:.1f} % longer, by round {_percent(runs.whole, runs.bare)}.")
    quiet = overhead.most - overhead.least <= BAR
    if not quiet:
        table.note("The rounds differ by more than the bar: other work disturbed them, and nothing is judged.")
    report.bar("service_overhead", overhead.median, bar=BAR if quiet else None, at_most=True)
    report.bar("service_overhead_least", overhead.least)
    report.bar("service_overhead_most", overhead.most)


def _judge_cpu(report: Report, table: Table, runs: _Runs) -> None:
    by_worker = spread(
        one.cpu_seconds / other.cpu_seconds - 1 for one, other in zip(runs.whole, runs.bare, strict=True)
    )
    by_cpu = spread(
        all_of_it / other.cpu_seconds - 1 for all_of_it, other in zip(runs.all_cpu_seconds, runs.bare, strict=True)
    )
    table.note(
        f"All its processes, servers included, take {100 * by_cpu.median:.1f} % more processor time than the engine "
        f"({100 * by_cpu.least:.1f} to {100 * by_cpu.most:.1f} %)."
    )
    report.bar("service_overhead_by_cpu", by_cpu.median, bar=BAR, at_most=True)
    report.bar("service_overhead_by_worker_cpu", by_worker.median)


@contextmanager
def _service(lab: Lab, precision: str, slots: int) -> Iterator[Stack]:
    """The stack with the full-size bundle, in the benchmark's own data directory."""
    settings = {
        "MODEL": NAME,
        "MODEL_SOURCE": "local",
        "MODELS_DIR": str(lab.bundle.parent),
        "DEVICE": lab.device,
        "PRECISION": precision,
        "TORCH_THREADS": str(lab.threads),
        "WORKER_SLOTS": str(slots),
    }
    before = dict(os.environ)
    os.environ.update({f"PARAQUEUE_{name}": value for name, value in settings.items()})
    stack = Stack(Options(lab.cache / "service", free_port()))
    try:
        stack.start(lab.say)
        yield stack
    finally:
        stack.close()
        os.environ.clear()
        os.environ.update(before)


def _transcribe(stack: Stack, files: Sequence[Path]) -> Run:
    """Transcribe all files through the API; raises Refused if one fails."""
    worker = stack.services[0].process.pid
    Path(f"/proc/{worker}/clear_refs").write_text("5")
    cpu = family_cpu_seconds(worker)
    started = time.perf_counter()
    key = getattr(stack, "api_key", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=stack.url, timeout=WAIT_SECONDS + 30, trust_env=False, headers=headers) as client:
        ids = [_submit(client, file) for file in files]
        for job_id in ids:
            _finished(client, stack, job_id)
        wall = time.perf_counter() - started
        cpu = family_cpu_seconds(worker) - cpu
        texts, words = [], 0
        for job_id in ids:
            answer = client.get(f"/v1/transcriptions/{job_id}/transcript", params={"format": "json"})
            answer.raise_for_status()
            sentences = answer.json()["sentences"]
            texts.append("".join(sentence["text"] for sentence in sentences))
            words += sum(len(sentence["words"]) for sentence in sentences)
    return Run(wall, cpu, memory_mib("VmHWM", worker), None, words, texts, {})


def _submit(client: httpx.Client, file: Path) -> str:
    with file.open("rb") as content:
        answer = client.post("/v1/transcriptions", files={"file": (file.name, content)})
    answer.raise_for_status()
    return str(answer.json()["id"])


def _finished(client: httpx.Client, stack: Stack, job_id: str) -> None:
    status = ""
    while status not in TERMINAL:
        stack.check()
        answer = client.get(f"/v1/transcriptions/{job_id}", params={"wait": WAIT_SECONDS})
        answer.raise_for_status()
        status = answer.json()["status"]
    if status != "completed":
        raise Refused(f"a job ended as {status}: {answer.json().get('error')}")


def _all_cpu_seconds(stack: Stack) -> float:
    """Processor time of all processes of the stack so far."""
    return sum(family_cpu_seconds(child.process.pid) for child in [*stack.servers, *stack.services])


def _percent(whole: Sequence[Run], bare: Sequence[Run]) -> str:
    pairs = zip(whole, bare, strict=True)
    return ", ".join(f"{100 * (one.wall_seconds / other.wall_seconds - 1):.1f} %" for one, other in pairs)
