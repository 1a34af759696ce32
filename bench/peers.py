"""The peers that run on ONNX Runtime: their own environment, and our bundle in the format they read.

funasr-onnx needs an older numpy than ours, so the peers' packages (requirements/bench.lock) have their own virtual
environment. FunASR exports in our environment; the `onnx` and `onnxruntime` that it needs for that come from theirs,
after all our own packages.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.report import REPOSITORY

LOCK = REPOSITORY / "requirements" / "bench.lock"
PARTS = ("vad", "punc", "asr")


def environment(directory: Path) -> Path:
    """The Python of the peers' environment, installed below `directory` from the lock file.

    Raises subprocess.CalledProcessError if it cannot be installed (no network, no wheel for this Python).
    """
    place = directory / "peers"
    python, stamp = place / "bin" / "python", place / "installed.lock"
    if not (stamp.exists() and stamp.read_bytes() == LOCK.read_bytes()):
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*install, "-r", str(LOCK)], check=True)
        shutil.copy(LOCK, stamp)
    return python


def exported(bundle: Path, directory: Path, python: Path) -> Path:
    """The bundle exported by FunASR below `directory`, plain and quantised, with the files that each peer needs."""
    target = directory / "onnx"
    stamp = target / "exported.json"
    wanted = json.loads((bundle / "made.json").read_text("utf-8"))
    if stamp.exists() and json.loads(stamp.read_text("utf-8")) == wanted:
        return target
    shutil.rmtree(target, ignore_errors=True)
    packages = next((python.parent.parent / "lib").glob("python*/site-packages"))
    for part in PARTS:
        command = [sys.executable, "-m", "bench.peers", str(bundle / part), str(target / part), str(packages)]
        subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tokens = json.loads((bundle / "asr" / "tokens.json").read_text("utf-8"))
    lines = "".join(f"{token} {index}\n" for index, token in enumerate(tokens))
    (target / "asr" / "tokens.txt").write_text(lines, "utf-8")
    described = [sys.executable, "-m", "bench.peers", "describe", str(target / "asr"), str(packages)]
    subprocess.run(described, check=True, cwd=REPOSITORY)
    stamp.write_text(json.dumps(wanted) + "\n", "utf-8")
    return target


def _export(part: Path, target: Path) -> None:
    """Run FunASR's export, which only works with torch's older exporter."""
    import torch
    from funasr import AutoModel

    torch.onnx.export = functools.partial(torch.onnx.export, dynamo=False)
    target.mkdir(parents=True, exist_ok=True)
    model = AutoModel(model=str(part), device="cpu", ncpu=os.cpu_count(), disable_update=True, disable_pbar=True)
    model.export(type="onnx", quantize=True, output_dir=str(target))
    for name in ("config.yaml", "am.mvn", "tokens.json"):
        if (part / name).exists():
            shutil.copy(part / name, target / name)


def _describe(folder: Path) -> None:
    """Copy the recogniser and add the metadata that sherpa-onnx requires."""
    import onnx

    from worker.engine.features import load_cmvn

    mvn = load_cmvn(folder / "am.mvn")
    tokens = json.loads((folder / "tokens.json").read_text("utf-8"))
    properties = {
        "vocab_size": str(len(tokens)),
        "lfr_window_size": "7",
        "lfr_window_shift": "6",
        "normalize_samples": "0",
        "neg_mean": ",".join(f"{value:.7g}" for value in mvn.shift.tolist()),
        "inv_stddev": ",".join(f"{value:.7g}" for value in mvn.scale.tolist()),
        "model_type": "paraformer",
        "version": "1",
        "model_author": "damo",
        "comment": "random weights",
    }
    for source, copy in (("model.onnx", "sherpa.onnx"), ("model_quant.onnx", "sherpa_quant.onnx")):
        model = onnx.load(folder / source)
        onnx.helper.set_model_props(model, properties)
        onnx.save(model, folder / copy)


if __name__ == "__main__":
    what, place, packages = sys.argv[1:]
    sys.path.append(packages)  # after all our own packages
    if what == "describe":
        _describe(Path(place))
    else:
        _export(Path(what), Path(place))
