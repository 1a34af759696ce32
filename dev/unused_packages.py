"""Drops from a lock file what FunASR requires but the modules that we load never import.

`python -m dev.unused_packages requirements/run.lock …`, called by dev/lock.sh. The files are installed without
resolving dependencies, so what is dropped stays out: 28 packages, 300 MB, and the only ones that need a compiler.
`make test` installs all of them, because FunASR's own AutoModel is what results are compared with.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

UNUSED = frozenset(
    {
        "aliyun-python-sdk-core",
        "aliyun-python-sdk-kms",
        "antlr4-python3-runtime",
        "audioread",
        "crcmod",
        "hydra-core",
        "jaconv",
        "jamo",
        "joblib",
        "modelscope",
        "modelscope-hub",
        "omegaconf",
        "oss2",
        "pooch",
        "pycryptodome",
        "pynndescent",
        "regex",
        "safetensors",
        "scikit-learn",
        "soundfile",
        "soxr",
        "tensorboardx",
        "threadpoolctl",
        "tiktoken",
        "tokenizers",
        "torch-complex",
        "transformers",
        "umap-learn",
    }
)


def pruned(lock: str) -> str:
    """Return the text of a lock file without the unused packages and the notes on what they require."""
    kept: list[str] = []
    drop = False
    for line in lock.splitlines():
        requirement = re.match(r"([A-Za-z0-9._-]+)==", line)
        if requirement is not None:
            drop = requirement[1].lower() in UNUSED
        note = re.fullmatch(r"\s+#\s+(?:via )?([A-Za-z0-9._-]+)", line)
        if not drop and not (note is not None and note[1].lower() in UNUSED):
            kept.append(line)
    return "\n".join(kept) + "\n"


def main(paths: list[str]) -> None:
    """Prune each file in place."""
    for path in map(Path, paths):
        path.write_text(pruned(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
