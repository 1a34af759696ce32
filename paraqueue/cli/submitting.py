"""`submit`: several files at once, each with a progress bar, from upload to transcript."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn

from paraqueue.cli import exits, files, show
from paraqueue.cli.memory import UploadFiles
from paraqueue.client import Client
from paraqueue.errors import JobEnded, ParaqueueError
from paraqueue.models import Transcription
from paraqueue.statuses import COMPLETED

# Uploads share the network bandwidth, so few run at once; waiting costs nothing, so many may.
UPLOADS_AT_ONCE = 4
WAITS_AT_ONCE = 16


@dataclass(frozen=True)
class Wish:
    """What to do with each source after it has been submitted."""

    options: dict[str, Any]
    wait: bool
    form: str
    directory: Path | None
    timeout: float | None


@dataclass(frozen=True)
class Done:
    """The result for one source: `text`, unless it was written to `path`."""

    source: str
    job: Transcription | None
    error: BaseException | None
    text: str | None = None
    path: Path | None = None


def submit_all(client: Client, sources: list[str], wish: Wish, *, quiet: bool) -> list[Done]:
    """Submit sources and, with `wait`, follow each to its end. A failure does not stop the others."""
    paths = files.output_paths(sources, wish.directory, wish.form) if wish.directory else [None] * len(sources)
    memory = UploadFiles(client.config.url)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[name]}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[doing]}", markup=False),
    )
    with Progress(*columns, console=exits.errors(), disable=quiet, transient=True) as progress:
        bars = [progress.add_task("", name=_short(source), doing="waiting", total=None) for source in sources]
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as uploads, ThreadPoolExecutor(WAITS_AT_ONCE) as waits:
            try:
                tasks = []
                for source, path, number in zip(sources, paths, bars, strict=True):
                    bar = _Bar(progress, number)
                    submitted = uploads.submit(_submitted, client, source, wish, memory, bar)
                    tasks.append(waits.submit(_seen_through, client, submitted, wish, path, bar))
                return [task.result() for task in tasks]
            except KeyboardInterrupt:
                uploads.shutdown(wait=False, cancel_futures=True)
                waits.shutdown(wait=False, cancel_futures=True)
                raise


@dataclass(frozen=True)
class _Bar:
    progress: Progress
    task: TaskID

    def uploading(self, sent: int, total: int) -> None:
        self.progress.update(self.task, completed=sent, total=max(total, 1), doing="uploading")

    def working(self, job: Transcription) -> None:
        doing: str = job.stage or job.status
        if job.status == "queued" and job.queue_position is not None:
            doing = f"queued, place {job.queue_position}"
        if job.eta_seconds is not None and not job.ended:
            doing += f", about {show.duration(round(job.eta_seconds * 1000))}"
        self.progress.update(self.task, completed=(job.progress or 0.0) * 100, total=100, doing=doing)

    def ended(self, doing: str) -> None:
        self.progress.update(self.task, completed=100, total=100, doing=doing)


def _submitted(client: Client, source: str, wish: Wish, memory: UploadFiles, bar: _Bar) -> Done:
    try:
        job = client.submit(source, on_upload=bar.uploading, memory=memory, **wish.options)
        bar.ended("submitted")
        return Done(source, job, None)
    except (ParaqueueError, OSError) as error:
        bar.ended("failed")
        return Done(source, None, error)


def _seen_through(client: Client, submitted: Future[Done], wish: Wish, path: Path | None, bar: _Bar) -> Done:
    done = submitted.result()
    if done.job is None or not wish.wait:
        return done
    try:
        job = client.wait(done.job.id, timeout=wish.timeout, on_change=bar.working)
        if job.status != COMPLETED:
            raise JobEnded(job)
        content = client.export(job.id, wish.form)  # type: ignore[arg-type]
        if path is not None:
            files.write_whole(path, content)
        bar.ended("done")
        return Done(done.source, job, None, None if path else content.decode(), path)
    except (ParaqueueError, OSError) as error:
        bar.ended("failed")
        return Done(done.source, done.job, error)


def _short(source: str) -> str:
    name = source.partition("?")[0].rstrip("/").rpartition("/")[2]
    return name if len(name) <= 40 else f"{name[:18]}…{name[-20:]}"
