"""The benchmark of the shipped bundles: made in the sizes of the published files, measured in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentencepiece import SentencePieceProcessor

from bench import bundle_models as made
from bench import bundles
from bench.lab import QUICK, Lab
from bench.models import VOCABULARY, module_of, punctuation_config
from bench.report import Report
from worker.engine.bundles.bundles import bundle_spec

NETWORKS: list[tuple[str, str, Callable[[], dict[str, Any]], int]] = [
    ("paraformer-large-zh", "punc", punctuation_config, 272_727),
    ("paraformer-zh", "asr", made.seaco_config, VOCABULARY),
    ("paraformer-zh", "punc", made.word_punctuation_config, made.WORD_VOCABULARY),
    ("sensevoice-small", "asr", made.sensevoice_config, made.SENSEVOICE_VOCABULARY),
]
"""Those whose published size the definitions know."""
SHARE = 0.001
"""By which a file may differ: names of weights, and buffers."""


@pytest.mark.parametrize(("bundle", "part", "config", "vocabulary"), NETWORKS)
def test_networks_are_as_large_as_the_published_files(
    bundle: str, part: str, config: Callable[[], dict[str, Any]], vocabulary: int
) -> None:
    published = bundle_spec(bundle).sources[part][0].files["model.pt"].size
    with torch.device("meta"):
        module = module_of(config(), vocabulary)
    assert sum(4 * weight.numel() for weight in module.state_dict().values()) == pytest.approx(published, rel=SHARE)


def test_vocabularies_have_the_published_sizes() -> None:
    pieces = SentencePieceProcessor()
    pieces.LoadFromSerializedProto(made._sentence_pieces())
    assert pieces.GetPieceSize() == made.SENSEVOICE_VOCABULARY
    assert [pieces.IdToPiece(number) for number in (3, 8)] == ["<|zh|>", "<|nospeech|>"]
    english = made.english_tokens()
    assert len(english) == len(set(english)) == made.ENGLISH_VOCABULARY
    assert sum(token.endswith("@@") for token in english) > 1000


def test_an_unknown_bundle_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError, match="sensevoice-small"):
        made.bundle_named("paraformer-fr", tmp_path)
    with pytest.raises(SystemExit):
        bundles.main(["--only", "paraformer-fr"])
    assert "invalid choice: 'paraformer-fr'" in capsys.readouterr().err


def test_contenders_run_in_turn_and_a_refusal_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "CONTENDERS", (("peer", "funasr-onnx", "int8"), ("ours", "ours", "int8")))
    said: list[str] = []
    lab = Lab(QUICK, threads=1, cache=tmp_path, say=said.append, warmup_seconds=4)
    lab.effort = replace(QUICK, rounds=2, files=2, file_seconds=4)
    report = Report("bundles", {}, "")
    loading, runs = bundles.measured(lab, lab.demo, report)
    assert loading.keys() == runs.keys() == {"ours"}
    assert [len(run.texts) for run in runs["ours"]] == [2, 2]
    [refused] = report.tables[0].rows
    assert refused["contender"] == "demo-zh, peer"
    cells = bundles._cells(lab, runs, "ours")
    assert cells["ratio"] is None
    assert cells["words"]
    assert sum("2 files of 4 s" in line for line in said) == 2
