"""Writes model directories in the layout that `funasr.AutoModel(model=DIRECTORY)` loads."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from numpy.typing import NDArray

BUNDLE = Path(__file__).resolve().parent.parent / "models" / "demo-zh"
"""The directory of the bundled model."""


def write_model(
    directory: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    task: str,
    tokens: Sequence[str] | None = None,
    mvn: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> None:
    """Write one model directory; each file is replaced atomically, so a reader sees either the old or the new file.

    `weights` are stored in half precision; FunASR copies them into single precision parameters. `mvn` is
    (−mean, 1 / standard deviation), each of shape [input size].
    """
    directory.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=directory.parent))
    metas: dict[str, Any] = {"init_param": "model.pt", "config": "config.yaml"}
    if tokens is not None:
        metas["tokenizer_conf"] = {"token_list": "tokens.json"}
        (fresh / "tokens.json").write_text(json.dumps(list(tokens), ensure_ascii=False, indent=0) + "\n", "utf-8")
    if mvn is not None:
        metas["frontend_conf"] = {"cmvn_file": "am.mvn"}
        (fresh / "am.mvn").write_text(_kaldi_mvn(*mvn), "utf-8")
    described = {"framework": "pytorch", "task": task, "model": {"type": "funasr"}, "file_path_metas": metas}
    (fresh / "configuration.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")
    (fresh / "config.yaml").write_text(yaml.safe_dump(dict(config), allow_unicode=True, sort_keys=False), "utf-8")
    half = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in weights.items()}
    torch.save(half, fresh / "model.pt")
    for file in sorted(fresh.iterdir()):
        file.chmod(0o644)
        file.replace(directory / file.name)
    shutil.rmtree(fresh)


def _kaldi_mvn(shift: NDArray[Any], scale: NDArray[Any]) -> str:
    """Kaldi's text form of a network that adds `shift` and multiplies by `scale`."""

    def row(values: NDArray[Any]) -> str:
        return "<LearnRateCoef> 0 [ " + " ".join(f"{value:.6g}" for value in values) + " ]"

    size = len(shift)
    return (
        f"<Nnet>\n<Splice> {size} {size}\n[ 0 ]\n<AddShift> {size} {size}\n{row(shift)}\n"
        f"<Rescale> {size} {size}\n{row(scale)}\n</Nnet>\n"
    )
