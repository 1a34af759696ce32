"""Shared by the parts of the engine benchmark: paths, starting contenders, and how long to measure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.audio import ffmpeg_program, recordings
from bench.contenders.protocol import Spec
from bench.models import DEMO, full_size_bundle
from bench.remote import Refused, Remote
from bench.report import REPOSITORY

CACHE = REPOSITORY / ".paraqueue" / "bench"
PEERS = ("funasr-onnx", "sherpa-onnx")


@dataclass(frozen=True)
class Effort:
    """How much to measure. Seconds are those of one audio file."""

    rounds: int = 3
    files: int = 8
    file_seconds: float = 120.0
    long_seconds: tuple[float, ...] = (600.0, 3600.0)
    vad_seconds: float = 600.0
    compared_files: int = 200
    memory_hours: float = 10.0
    jobs: int = 100
    job_seconds: float = 20.0


FULL = Effort()
QUICK = Effort(
    rounds=2, files=8, file_seconds=15, long_seconds=(), vad_seconds=120, compared_files=14, memory_hours=1, jobs=40
)


@dataclass
class Lab:
    """One run of the benchmark. `threads` is the thread count of every contender; `say` prints progress."""

    effort: Effort
    threads: int
    device: str = "cpu"
    cache: Path = CACHE
    say: Callable[[str], None] = print
    warmup_seconds: float = 10.0
    forms: tuple[str, ...] = ("wav", "mp3", "m4a")
    peers_refused: str = ""
    _peer_python: Path | None = field(default=None, repr=False)
    _onnx: Path | None = field(default=None, repr=False)

    @property
    def bundle(self) -> Path:
        """The full-size bundle."""
        return full_size_bundle(self.cache / "models")

    @property
    def demo(self) -> Path:
        """The bundle that recognises the speech in the samples."""
        return DEMO

    def audio(self, count: int, seconds: float, forms: tuple[str, ...] = ()) -> list[Path]:
        """Files made from the sample, by default in the formats of this run."""
        return recordings(self.cache / "audio", count, seconds, forms or self.forms)

    def prepare_peers(self) -> None:
        """Prepare the ONNX peers' environment and models; if that fails, `peers_refused` holds the reason."""
        from bench import peers

        try:
            self._peer_python = peers.environment(self.cache)
            self._onnx = peers.exported(self.bundle, self.cache, self._peer_python)
        except (subprocess.CalledProcessError, OSError, StopIteration) as error:
            self.peers_refused = f"could not be prepared: {error}"[:300]

    def remote(self, kind: str, bundle: Path, precision: str = "fp32", **options: object) -> Remote:
        """A loaded contender; `at_once` and `threads` in the options override the defaults. Raises Refused."""
        at_once, threads = int(str(options.pop("at_once", 1))), int(str(options.pop("threads", self.threads)))
        peer = kind in PEERS
        if peer and self._peer_python is None:
            raise Refused(self.peers_refused or "was not prepared")
        spec = Spec(
            kind,
            str(bundle),
            device=self.device,
            threads=threads,
            precision=precision,
            at_once=at_once,
            onnx=str(self._onnx or ""),
            ffmpeg=ffmpeg_program(),
            options=dict(options),
        )
        python = self._peer_python if peer and self._peer_python else Path(sys.executable)
        log = self.cache / "logs" / f"{kind}-{precision}-{at_once}.log"
        return Remote(spec, log, python, **self._environment())

    def _environment(self) -> dict[str, str]:
        """Environment with ffmpeg on the PATH; waiting threads sleep, so that other processes interfere less.

        Our engine sets GOMP_SPINCOUNT itself. FunASR gets it too: without it, FunASR is many times slower on a busy
        machine and equally fast on an idle one.
        """
        programs = self.cache / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        link = programs / "ffmpeg"
        if ffmpeg_program() and not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(ffmpeg_program())
        return {"PATH": f"{programs}:{os.environ.get('PATH', '')}", "GOMP_SPINCOUNT": "0"}
