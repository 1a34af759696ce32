"""`make bench-api`: how fast the front is, beside bare FastAPI routes on the same framework, database and pool.

One API process, one load generator and PostgreSQL (with fsync) share the machine. Requests carry an API key, and
rate limits are counted. Rates are those at which 99 of 100 answers come within 50 ms of the time the request was due.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.api_stack import Service, Target, running
from bench.load import Measured
from bench.report import Column, Report, conditions, spread

CONNECTIONS = 64
PATIENCE_MS = 50.0
FRACTIONS = (0.95, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25)
KEPT_UP = 0.97
BAR_UPLOAD, BAR_UPLOAD_RATIO, BAR_START_MS = 300.0, 0.5, 50.0
# The bare route's processor time over ours.
BAR_CPU_RATIO = {"submit": 0.65, "poll": 0.75, "list": 0.65}
# At half of the highest rate.
BAR_P99_MS = 25.0
UPLOAD_BYTES = 512 * 1024 * 1024
PIECE_BYTES = 1024 * 1024
STARTS = 30
LINKS = 2000


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each rate is looked for (3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one trial (3)")
    parser.add_argument("--only", choices=["rates", "upload", "start"], help="a part of it; writes no file")
    options = parser.parse_args()
    where = {"API processes": 1, "load generator": "bench.load, on the same cores", "authentication": "API key"}
    with tempfile.TemporaryDirectory(prefix="paraqueue-bench-") as directory:
        Path(directory).chmod(0o711)
        with running(Path(directory)) as service:
            report = Report(
                "api", conditions(where, ("fastapi", "uvicorn", "sqlalchemy")), "1 s per route and round, 3 jobs"
            )
            if options.only in {None, "start"}:
                starts(service, report)
            if options.only in {None, "upload"}:
                uploads(service, report, options.rounds)
            if options.only in {None, "rates"}:
                rates(service, report, options.rounds, options.seconds)
    report.show()
    if options.only is None:
        print(report.write())
    return 0


def starts(service: Service, report: Report) -> None:
    """Measure the time from submit to claim by PostgreSQL's clock, one job at a time on an idle stack."""
    worker = service.worker()
    content = _second_of_silence(service.place / "short.wav").read_bytes()
    with service.client() as client:
        for number in range(STARTS + 3):
            answer = client.post("/v1/transcriptions", files={"file": ("short.wav", content)}).raise_for_status()
            path = f"/v1/transcriptions/{answer.json()['id']}"
            status = ""
            while status not in {"completed", "failed"}:
                status = client.get(path, params={"wait": 30}).raise_for_status().json()["status"]
            assert status == "completed"
            time.sleep(0.3 + 0.1 * (number % 3))
    query = "SELECT extract(epoch FROM a.started_at - j.created_at) FROM attempts a JOIN jobs j ON j.id = a.job_id"
    start_ms = [1000 * float(row[0]) for row in service.rows(f"{query} ORDER BY j.created_at")][3:]
    worker.stop(seconds=30)
    service.children.remove(worker)
    table = report.table(
        "Submit → a worker starts, idle stack (ms)", Column("jobs", digits=0), Column("median and range")
    )
    table.add(jobs=len(start_ms), **{"median and range": spread(start_ms)})
    report.bar("start_p50_ms", spread(start_ms).median, bar=BAR_START_MS, at_most=True)


def _second_of_silence(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(32_000))
    return path


def uploads(service: Service, report: Report, rounds: int) -> None:
    """Measure the upload of a large file, compared with `cat > file` of the same bytes to the same disk."""
    source = service.place / "large"
    piece = secrets.token_bytes(PIECE_BYTES)
    with source.open("wb") as file:
        for _ in range(UPLOAD_BYTES // PIECE_BYTES):
            file.write(piece)
    megabytes = UPLOAD_BYTES / 1e6
    table = report.table("Upload of 512 MiB (MB/s)", Column("way"), Column("rate", "MB/s", 0))
    api, copied, ratios = [], [], []
    for _ in range(rounds):
        copied.append(megabytes / _timed(lambda: _cat(source, service.place / "copy")))
        api.append(megabytes / _timed(lambda: _upload(service, source)))
        ratios.append(api[-1] / copied[-1])
    table.add(way="cat > file, then fsync", rate=spread(copied))
    table.add(way="POST /v1/transcriptions, multipart", rate=spread(api))
    table.note(f"The API hashes (SHA-256) and fsyncs what it takes; {spread(ratios)} of the rate of cat.")
    # Only one of the two is required: a disk may be slower than 300 MB/s, and a cache faster than any service.
    by_ratio = spread(ratios).median >= BAR_UPLOAD_RATIO
    report.bar("upload_mb_s", spread(api).median, bar=None if by_ratio else BAR_UPLOAD)
    report.bar("upload_ratio", spread(ratios).median, bar=BAR_UPLOAD_RATIO if by_ratio else None)
    source.unlink()


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _cat(source: Path, target: Path) -> None:
    with target.open("wb") as file:
        subprocess.run(["cat", str(source)], stdout=file, check=True)
        os.fsync(file.fileno())
    target.unlink()


def _upload(service: Service, source: Path) -> None:
    """Upload with sendfile, so that the client uses little CPU."""
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="large"\r\n\r\n'
    end = b"\r\n--x--\r\n"
    length = len(start) + source.stat().st_size + len(end)
    head = _head("POST", "/v1/transcriptions", service.headers, length, "multipart/form-data; boundary=x")
    with socket.create_connection(("127.0.0.1", service.api.port)) as connection, source.open("rb") as file:
        connection.sendall(head.encode() + start)
        connection.sendfile(file)
        connection.sendall(end)
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 202"), answer[:300]


def _head(method: str, path: str, headers: dict[str, str], length: int = 0, kind: str = "") -> str:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if length:
        lines += [f"Content-Type: {kind}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""])


def rates(service: Service, report: Report, rounds: int, seconds: float) -> None:
    """Measure the highest rates of submit, poll and list, alternating with the bare peer."""
    columns = [
        Column("route"),
        Column("rate", "requests/s", 0),
        Column("pressed", "under pressure", 0),
        Column("p50", "p50 (ms)"),
    ]
    columns += [Column("p99", "p99 (ms)"), Column("cpu", "server CPU (ms)"), Column("client", "client CPU (ms)")]
    table = report.table("Highest rate with p99 <= 50 ms; p50 and p99 at half of it", columns[0], *columns[1:])
    for name in ("submit", "poll", "list"):
        sides = {"bare": Side(service.bare, _bare(service, name)), name: Side(service.api, _ours(service, name))}
        for _ in range(rounds):
            for side in sides.values():
                side.measure(seconds)
        mine, bare = sides[name], sides["bare"]
        for label, side in {f"bare {name}": bare, name: mine}.items():
            table.add(
                route=label,
                rate=spread(side.highest),
                pressed=spread(side.pressed),
                p50=spread(measured.p50_ms for measured in side.calm),
                p99=spread(measured.p99_ms for measured in side.calm),
                cpu=spread(side.cpu_ms),
                client=spread(measured.client_cpu_ms for measured in side.calm),
            )
        # On a busy machine no rate may be sustained in time; then there is no ratio.
        known = all(bare.highest) and all(mine.highest)
        ratio = statistics.median(mine.highest) / statistics.median(bare.highest) if known else None
        report.bar(f"{name}_ratio", ratio)
        report.bar(f"{name}_pressed_ratio", statistics.median(mine.pressed) / statistics.median(bare.pressed))
        by_cpu = statistics.median(bare.cpu_ms) / statistics.median(mine.cpu_ms)
        report.bar(f"{name}_cpu_ratio", by_cpu, bar=BAR_CPU_RATIO[name])
        p99 = statistics.median(measured.p99_ms for measured in mine.calm)
        report.bar(f"{name}_p99_ms", p99, bar=BAR_P99_MS, at_most=True)
    table.note("Rates under pressure are of 16 connections that always wait for an answer, without a limit.")


@dataclass
class Side:
    """A route and its measurements."""

    target: Target
    requests: list[str]
    highest: list[float] = field(default_factory=list)
    pressed: list[float] = field(default_factory=list)
    calm: list[Measured] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def measure(self, seconds: float) -> None:
        """Measure the rate under full load, then the first lower rate that is sustained in time, then half of that."""
        _trial(self.target, self.requests, 0, 1.0, connections=16)
        measured, cpu_ms = _trial(self.target, self.requests, 0, seconds, connections=16)
        self.pressed.append(measured.rate)
        self.cpu_ms.append(cpu_ms)
        self.highest.append(self._highest(seconds))
        half = (self.highest[-1] or measured.rate / 2) / 2
        self.calm.append(_trial(self.target, self.requests, half, seconds)[0])

    def _highest(self, seconds: float) -> float:
        for fraction in FRACTIONS:
            rate = self.pressed[-1] * fraction
            measured, _ = _trial(self.target, self.requests, rate, seconds)
            if measured.p99_ms <= PATIENCE_MS and measured.rate >= KEPT_UP * rate and not measured.unanswered:
                return measured.rate
        return 0.0


def _trial(
    target: Target, requests: list[str], rate: float, seconds: float, *, connections: int = CONNECTIONS
) -> tuple[Measured, float]:
    measured, cpu = target.loaded(requests, rate, connections=connections, seconds=seconds)
    wrong = {status: number for status, number in measured.statuses.items() if not status.startswith("2")}
    assert not wrong, f"answers that are no success: {wrong}"
    return measured, cpu


def _ours(service: Service, name: str) -> list[str]:
    if name == "submit":
        return [_submit(service, "/v1/transcriptions", number) for number in range(LINKS)]
    if name == "list":
        return [_head("GET", "/v1/transcriptions", service.headers)]
    rows = service.rows(f"SELECT id FROM jobs ORDER BY id DESC LIMIT {LINKS}")
    return [_head("GET", f"/v1/transcriptions/tr_{row[0].hex}", service.headers) for row in rows]


def _bare(service: Service, name: str) -> list[str]:
    if name == "submit":
        return [_submit(service, "/bare", number) for number in range(LINKS)]
    if name == "list":
        return [_head("GET", "/bare", service.headers)]
    rows = service.rows(f"SELECT id FROM bare ORDER BY id DESC LIMIT {LINKS}")
    return [_head("GET", f"/bare/{row[0]}", service.headers) for row in rows]


def _submit(service: Service, path: str, number: int) -> str:
    body = f'{{"audio_url": "https://example.com/recordings/{number}.mp3"}}'
    return _head("POST", path, service.headers, len(body), "application/json") + body


if __name__ == "__main__":
    sys.exit(main())
