"""Bundles: found, checked, loaded without a network, and clear words when something is missing."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from common.errors import ConfigurationError, ModelUnavailable
from worker.engine import bundles, loading
from worker.engine.bundles import BUNDLES, bundle_spec, download, from_directory, locate
from worker.engine.engine import Engine


@pytest.fixture
def copied(demo_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_bundle, tmp_path / "demo-zh"))


def test_production_bundle_is_pinned() -> None:
    spec = bundle_spec("paraformer-large-zh")
    assert {repository.revision for repository in spec.modelscope.values()} == {"v2.0.4"}
    assert "vocab272727" in spec.modelscope["punc"].repository
    with pytest.raises(ModelUnavailable, match="no model bundle"):
        bundle_spec("paraformer-zh")


def test_locate_names_every_missing_file(copied: Path) -> None:
    spec = bundle_spec("demo-zh")
    assert locate(spec, "local", copied.parent).asr == copied / "asr"
    assert locate(spec, str(copied), "elsewhere").name == "demo-zh"
    (copied / "asr" / "am.mvn").unlink()
    (copied / "punc" / "model.pt").unlink()
    with pytest.raises(ModelUnavailable, match=r"asr/am\.mvn, punc/model\.pt"):
        locate(spec, "local", copied.parent)
    with pytest.raises(ModelUnavailable, match=r"vad/config\.yaml"):
        locate(bundle_spec("paraformer-large-zh"), "modelscope", copied.parent)


def test_revision_follows_the_content(copied: Path) -> None:
    before = from_directory(copied).revision
    assert from_directory(copied).revision == before and len(before) == 12
    with (copied / "vad" / "am.mvn").open("a") as file:
        file.write(" ")
    assert from_directory(copied).revision != before
    for part in bundles.PARTS:
        (copied / part / ".revision").write_text("v2.0.4\n")
    assert from_directory(copied).revision == "v2.0.4"


@pytest.mark.parametrize("source", ["modelscope", "huggingface"])
def test_no_network_says_what_to_do(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ConnectionError("Network is unreachable\nand much more")

    monkeypatch.setattr(bundles, "_fetch", refuse)
    with pytest.raises(ModelUnavailable) as told:
        download(BUNDLES["paraformer-large-zh"], source, tmp_path)
    message = told.value.message
    assert "\n" not in message and "by hand" in message
    assert str(tmp_path / "paraformer-large-zh" / "asr") in message and "tokens.json" in message
    assert ("Network is unreachable" in message) == (source == "modelscope")


def test_download_stamps_the_revision(demo_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(_: str, __: bundles.HubRepository, directory: Path) -> None:
        shutil.copytree(demo_bundle / directory.name, directory)

    monkeypatch.setattr(bundles, "_fetch", fetch)
    lines: list[str] = []
    paths = download(BUNDLES["paraformer-large-zh"], "modelscope", tmp_path, lines.append)
    assert paths.revision == "v2.0.4" and len(lines) == 3
    assert locate(BUNDLES["paraformer-large-zh"], "modelscope", tmp_path) == paths


def test_mirrors_stand_in_for_what_a_hub_lacks(
    demo_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(source: str, wanted: bundles.HubRepository, directory: Path) -> None:
        asked.append(f"{source} {wanted.repository} {wanted.revision}")
        shutil.copytree(demo_bundle / directory.name, directory)

    monkeypatch.setattr(bundles, "_fetch", fetch)
    spec = BUNDLES["paraformer-large-zh"]
    shutil.copytree(demo_bundle / "punc", tmp_path / spec.name / "punc")  # put there by hand
    download(spec, "huggingface", tmp_path, mirrors="asr=corp/paraformer@abc123")
    assert asked == ["huggingface corp/paraformer abc123", "huggingface funasr/fsmn-vad main"]
    assert locate(spec, "local", tmp_path).punc.is_dir()
    for wrong in ("asr", "asr=corp/paraformer", "lm=corp/lm@1"):
        with pytest.raises(ConfigurationError, match="PARAQUEUE_MODEL_REPOSITORIES"):
            download(spec, "huggingface", tmp_path / "elsewhere", mirrors=wrong)


def test_wrong_weights_are_refused(copied: Path) -> None:
    weights = copied / "asr" / "model.pt"
    state = torch.load(weights)
    name = next(key for key in state if key.startswith("decoder"))
    torch.save({key: value for key, value in state.items() if key != name}, weights)
    with pytest.raises(ModelUnavailable, match="1 missing"):
        loading.load(from_directory(copied), "cpu")
    torch.save(state | {"encoder.extra": torch.zeros(1), "only_for_training": torch.zeros(1)}, weights)
    with pytest.raises(ModelUnavailable, match=r"1 unexpected, e\.g\. encoder\.extra"):
        loading.load(from_directory(copied), "cpu")
    weights.write_bytes(b"broken")
    with pytest.raises(ModelUnavailable, match="not a readable checkpoint"):
        loading.load(from_directory(copied), "cpu")


def test_another_model_class_is_refused(copied: Path) -> None:
    config = copied / "asr" / "config.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"model": "SenseVoiceSmall"}))
    with pytest.raises(ModelUnavailable, match="SenseVoiceSmall"):
        loading.load(from_directory(copied), "cpu")
    (copied / "punc" / "jieba_usr_dict").write_text("")
    shutil.copy(bundles._BUNDLED / "demo-zh" / "asr" / "config.yaml", config)
    with pytest.raises(ModelUnavailable, match="word-level"):
        loading.load(from_directory(copied), "cpu")


def test_load_touches_no_network(demo_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network call")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    loaded = loading.load(from_directory(demo_bundle), "cpu")
    assert not loaded.asr.module.training
    assert not any(parameter.requires_grad for parameter in loaded.asr.module.parameters())


def test_importing_and_loading_print_nothing(demo_bundle: Path) -> None:
    code = (
        "import sys; from worker.engine import loading; from worker.engine.bundles import from_directory\n"
        "assert 'funasr' not in sys.modules\n"
        f"loading.load(from_directory({str(demo_bundle)!r}), 'cpu')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_unknown_device_and_precision(demo_bundle: Path) -> None:
    paths = from_directory(demo_bundle)
    for options in ({"device": "tpu"}, {"device": "cuda:99"}, {"device": "cpu", "precision": "int3"}):
        with pytest.raises(ConfigurationError):
            Engine.load(paths, **options)  # type: ignore[arg-type]


def test_command_prints_a_transcript(
    demo_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], recordings: list[object]
) -> None:
    from training import speech
    from worker.engine.__main__ import main

    wav = tmp_path / "speech.wav"
    speech.write_wav(wav, recordings[0][: 20 * 16_000].astype("float32") / 32767)  # type: ignore[index]
    assert main([str(wav), "--model", str(demo_bundle), "--device", "cpu", "--threads", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("[00:00:0") and "RTF" in printed.err
    assert main([str(wav), "--model", "nothing"]) == 1
    assert capsys.readouterr().err.startswith("model_unavailable: ")
