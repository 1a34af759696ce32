"""`python -m worker.engine FILE`: a timed transcript of a file, without the queue and the database."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from common.errors import ParaqueueError
from common.options.segmentation import SEGMENTATION_NAMES
from common.transcript.formats import TEXT_FORMATS, Format, render
from common.transcript.values import Sentence, Transcript
from worker.engine.audio import AudioReader, DecodeLimits
from worker.engine.bundles.bundles import BundlePaths, bundle_spec, from_directory, locate
from worker.engine.engine import Engine
from worker.engine.stream import SAMPLE_RATE, RecognitionStream

BLOCK_SAMPLES = 10 * SAMPLE_RATE
LIMITS = DecodeLimits(max_duration_ms=None, cpu_seconds=3600, memory_bytes=2 << 30, idle_timeout_seconds=60)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m worker.engine", description=__doc__)
    parser.add_argument("file", type=Path, help="audio or video, in any form ffmpeg decodes")
    parser.add_argument("--model", default="demo-zh", help="name of a bundle under models/, or a directory")
    parser.add_argument("--device", default="auto", help="cpu, cuda:0 or auto")
    parser.add_argument("--precision", default="fp32", help="fp32; int8 on a CPU; bf16 or fp16 on a GPU")
    parser.add_argument("--threads", type=int, default=0, help="threads of one operation; 0: one per core")
    parser.add_argument("--batch-seconds", type=float, help="padded seconds per batch; default: measured")
    parser.add_argument(
        "--segmentation", choices=SEGMENTATION_NAMES, help="how speech is divided; default: the model's"
    )
    parser.add_argument("--format", type=Format, choices=TEXT_FORMATS, help="default: lines with times, as they come")
    options = parser.parse_args(arguments)
    try:
        paths, seconds = _paths(options.model), options.batch_seconds
        engine = Engine.load(
            paths,
            options.device,
            options.precision,
            threads=options.threads,
            batch_seconds=seconds,
            segmentation=options.segmentation,
        )
        try:
            transcribe(engine, options.file, options.format)
        finally:
            engine.close()
    except ParaqueueError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 1
    return 0


def transcribe(engine: Engine, path: Path, form: Format | None = None) -> None:
    """Print the transcript of a file (its channels mixed), then the speed on stderr.

    Without a format, each sentence is printed as soon as it is finished.
    """
    started = time.perf_counter()
    stream = engine.stream(key=str(path))
    finished: list[Sentence] = []
    with AudioReader(path, limits=LIMITS) as reader:
        for block in reader.blocks(BLOCK_SAMPLES):
            finished += _told(stream.accept(block[0]), form)
    finished += _told(stream.finish(), form)
    seconds = time.perf_counter() - started
    if form is not None:
        print("".join(render(form, _head(engine, path, stream, seconds), finished)).rstrip("\n"))
    audio_seconds = stream.position_samples / SAMPLE_RATE
    if not stream.segments:
        print("(no speech)", file=sys.stderr)
    print(
        f"{engine.bundle} {engine.revision} on {engine.device}, {engine.precision}: "
        f"{audio_seconds:.1f} s of audio in {seconds:.2f} s, RTF {seconds / max(audio_seconds, 1e-9):.4f}",
        file=sys.stderr,
    )


def _head(engine: Engine, path: Path, stream: RecognitionStream, seconds: float) -> Transcript:
    return Transcript(
        job_id=path.name,
        model=engine.bundle,
        model_revision=engine.revision,
        precision=engine.precision,
        segmentation=engine.segmentation,
        audio_ms=stream.position_samples * 1000 // SAMPLE_RATE,
        processing_ms=round(seconds * 1000),
        channels=1,
        no_speech=not stream.segments,
        partial=False,
    )


def _told(sentences: Iterable[Sentence], form: Format | None) -> list[Sentence]:
    """Print the sentences now, or return them all so that they can be written in a format."""
    if form is not None:
        return list(sentences)
    _print(sentences)
    return []


def _print(sentences: Iterable[Sentence]) -> None:
    for sentence in sentences:
        print(f"[{_clock(sentence.start_ms)} - {_clock(sentence.end_ms)}] {sentence.text}", flush=True)


def _clock(milliseconds: int) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest / 1000:06.3f}"


def _paths(model: str) -> BundlePaths:
    if Path(model, "asr").is_dir():
        return from_directory(model)
    return locate(bundle_spec(model, "models"), "models")


if __name__ == "__main__":
    sys.exit(main())
