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
from worker.engine.bundles import bundles, loading
from worker.engine.bundles.bundles import bundle_spec, from_directory, locate
from worker.engine.engine import Engine


@pytest.fixture
def copied(demo_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_bundle, tmp_path / "demo-zh"))


def test_shipped_definitions_are_pinned() -> None:
    large = bundle_spec("paraformer-large-zh")
    revisions = {part: sources[0].revision for part, sources in large.sources.items()}
    assert revisions == {"asr": "v2.0.4", "vad": "v2.0.4", "punc": "v2.0.4", "spk": "v2.0.2"}
    assert "vocab272727" in large.sources["punc"][0].repository
    default = bundle_spec("paraformer-zh")
    assert "seaco" in default.sources["asr"][0].repository
    assert "vocab471067" in default.sources["punc"][0].repository
    assert default.files("asr")["model.pt"].size == 989_763_045
    several = bundle_spec("sensevoice-small")
    assert [source.hub for source in several.sources["asr"]] == ["modelscope", "huggingface"]
    assert {bool(spec.size and spec.sha256) for source in several.sources["asr"] for spec in source.files.values()} == {
        True
    }
    assert several.card.languages == ("zh", "yue", "en", "ja", "ko")
    english = bundle_spec("paraformer-en")
    assert english.sources["asr"][0].repository.endswith("nat-en-16k-common-vocab10020")
    assert english.sources["punc"] == default.sources["punc"]
    assert (english.card.languages, english.card.word_times) == (("en",), False)
    assert large.card.languages == ("zh", "en")
    assert large.card.word_times
    with pytest.raises(ModelUnavailable, match="no model bundle"):
        bundle_spec("nothing")


def test_locate_names_every_missing_file(copied: Path) -> None:
    spec = bundle_spec("demo-zh")
    assert locate(spec, copied.parent).asr == copied / "asr"
    assert from_directory(copied).name == "demo-zh"
    assert from_directory(copied).card == spec.card
    (copied / "asr" / "am.mvn").unlink()
    (copied / "punc" / "model.pt").unlink()
    with pytest.raises(ModelUnavailable, match=r"asr/am\.mvn is missing; punc/model\.pt is missing"):
        locate(spec, copied.parent)
    with pytest.raises(ModelUnavailable, match=r"vad/config\.yaml"):
        locate(bundle_spec("paraformer-large-zh"), copied.parent)


def test_an_operator_adds_a_bundle_by_a_file(copied: Path) -> None:
    (copied.parent / "house.toml").write_text('name = "house"\nlanguages = ["ZH"]\nhotwords = true\n')
    copied.rename(copied.parent / "house")
    bundle = locate(bundle_spec("house", copied.parent), copied.parent)
    assert bundle.name == "house"
    assert bundle.card.languages == ("zh",)
    assert bundle.card.hotwords


def test_revision_follows_the_content(copied: Path) -> None:
    before = from_directory(copied).revision
    assert from_directory(copied).revision == before
    assert len(before) == 12
    with (copied / "vad" / "am.mvn").open("a") as file:
        file.write(" ")
    assert from_directory(copied).revision != before
    for part in bundles.PARTS:
        (copied / part / ".revision").write_text("v2.0.4\n")
    assert from_directory(copied).revision == "v2.0.4"


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
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"model": "Conformer"}))
    with pytest.raises(ModelUnavailable, match="holds a Conformer"):
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
        "import sys; from worker.engine.bundles import loading\n"
        "from worker.engine.bundles.bundles import from_directory\n"
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
    assert printed.out.startswith("[00:00:0")
    assert "RTF" in printed.err
    assert main([str(wav), "--model", "nothing"]) == 1
    assert capsys.readouterr().err.startswith("model_unavailable: ")
