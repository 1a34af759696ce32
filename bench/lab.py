"""What the parts of the engine's benchmark share: where things lie, how contenders are started, how long to measure."""

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
    """How much is measured. Seconds are those of one audio file."""

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
    """One run of the benchmark. `threads` are those of every contender; `say` prints what is being done."""

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
        """The bundle that understands the speech of the samples."""
        return DEMO

    def audio(self, count: int, seconds: float, forms: tuple[str, ...] = ()) -> list[Path]:
        """Files made of the sample, by default in the forms of this run."""
        return recordings(self.cache / "audio", count, seconds, forms or self.forms)

    def prepare_peers(self) -> None:
        """The ONNX peers' environment and models; where that fails, `peers_refused` says why."""
        from bench import peers

        try:
            self._peer_python = peers.environment(self.cache)
            self._onnx = peers.exported(self.bundle, self.cache, self._peer_python)
        except (subprocess.CalledProcessError, OSError, StopIteration) as error:
            self.peers_refused = f"could not be prepared: {error}"[:300]

    def remote(self, kind: str, bundle: Path, precision: str = "fp32", **options: object) -> Remote:
        """A loaded contender; `at_once` and `threads` among the options are its own. Raises Refused."""
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
        """Ffmpeg by its name for those who look for it; threads that wait sleep, so that neighbours disturb less.

        Our engine sets GOMP_SPINCOUNT itself. FunASR is given it too: on a machine with other work it is many times
        slower without, on a quiet one equally fast.
        """
        programs = self.cache / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        link = programs / "ffmpeg"
        if ffmpeg_program() and not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(ffmpeg_program())
        return {"PATH": f"{programs}:{os.environ.get('PATH', '')}", "GOMP_SPINCOUNT": "0"}
