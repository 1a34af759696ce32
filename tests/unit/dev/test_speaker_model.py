"""The bundled model together with a speaker model, or without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import speaker_model
from dev.speaker_model import with_speakers
from dev.wheels import NoWheel


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
