"""SeACo-Paraformer, FunASR's `paraformer-zh`, with and without hotwords: its own class with random weights."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from structlog.testing import capture_logs

from common.errors import ModelUnavailable
from common.settings import Settings
from common.transcript.values import Sentence, Word
from tests.engine.seaco_cases import hotwords, make_seaco, tokens_of
from worker.engine.assembly import paraformer_of
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import PIECES_FILE, from_directory
from worker.engine.engine import Engine
from worker.engine.options import EngineOptions, GpuLayout
from worker.engine.recognition import bias_networks
from worker.engine.recognition.bias_words import BiasTokenizer, BiasWords
from worker.engine.recognition.paraformer import Paraformer
from worker.engine.recognition.utterance import Utterance
from worker.engine.resume_state import StaleState
from worker.transcription.main import load_engine

Samples = NDArray[np.int16]
FILES = 50
COUNTS = (0, 1, 5, 60, 1000)
MIXED = ((0, 0), (1, 0), (5, 0), (60, 0), (60, 1), (1000, 0))
"""Lists of jobs that run together: the number of hotwords, and a seed."""


@pytest.fixture(scope="module")
def seaco_bundle(random_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("seaco") / "seaco"
    make_seaco(random_bundle, target)
    return target


@pytest.fixture(scope="module")
def recogniser(seaco_bundle: Path) -> Iterator[Paraformer]:
    made = paraformer_of(loading.load(from_directory(seaco_bundle), "cpu"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def theirs(seaco_bundle: Path) -> Iterator[Any]:
    from funasr import AutoModel

    quiet: dict[str, Any] = {"disable_update": True, "disable_pbar": True, "log_level": "ERROR"}
    model: Any = AutoModel(model=str(seaco_bundle / "asr"), device="cpu", ncpu=1, **quiet)
    assert type(model.model).__name__ == "SeacoParaformer"
    model.kwargs["frontend"].dither = 0.0
    logging.disable(logging.INFO)  # it logs all hotwords for each file
    yield model
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def segments(recordings: list[Samples]) -> list[Samples]:
    generator = np.random.default_rng(31)
    made = []
    for _ in range(FILES):
        audio = recordings[int(generator.integers(len(recordings)))]
        length = int(generator.integers(8_000, 6 * 16_000))
        start = int(generator.integers(0, len(audio) - length))
        made.append(audio[start : start + length])
    return made


def words_of(recogniser: Paraformer, entries: tuple[str, ...]) -> BiasWords | None:
    assert recogniser.tokenizer is not None
    return recogniser.tokenizer.words(entries)


def plain(words: list[Word]) -> list[tuple[str, int, int]]:
    return [(word.text, word.start_ms, word.end_ms) for word in words]


def changed(left: list[list[Word]], right: list[list[Word]]) -> float:
    """The share of words that differ."""
    texts = [([word.text for word in a], [word.text for word in b]) for a, b in zip(left, right, strict=True)]
    return sum(Levenshtein.distance(*pair) for pair in texts) / sum(len(a) for a, _ in texts)


@pytest.mark.parametrize("count", COUNTS)
def test_text_and_times_equal_funasr(
    count: int, seaco_bundle: Path, recogniser: Paraformer, theirs: Any, segments: list[Samples]
) -> None:
    """One list for all files, each alone; another list, and none, give other words."""
    entries = hotwords(seaco_bundle, count)
    listed = words_of(recogniser, entries)
    assert (len(listed.ids) if listed else 0) == count
    asked = {"hotword": " ".join(entries)} if entries else {}
    results = []
    for segment in segments:
        [expected] = theirs.generate(segment.astype(np.float32) / 32768, **asked)
        [words] = recogniser.recognise_utterances([Utterance(segment, listed)])
        assert " ".join(word.text for word in words) == expected["text"]
        assert [[word.start_ms, word.end_ms] for word in words] == expected["timestamp"]
        results.append(words)
    assert sum(map(len, results)) > 300
    if count:
        other = words_of(recogniser, hotwords(seaco_bundle, count, seed=1))
        others = recogniser.recognise_utterances([Utterance(segment, other) for segment in segments])
        assert changed(results, recogniser.recognise(segments)) > 0.3
        assert changed(results, others) > 0.2
    else:
        assert results == [recogniser.recognise([segment])[0] for segment in segments]


@pytest.mark.parametrize(("precision", "gpu"), [("fp32", None), ("int8", None), ("fp32", "padded"), ("fp32", "packed")])
def test_nothing_depends_on_other_jobs(
    precision: str, gpu: GpuLayout | None, seaco_bundle: Path, recogniser: Paraformer, segments: list[Samples]
) -> None:
    """Segments of jobs with different lists in batches of any composition; those without a list are not touched."""
    tested = paraformer_of(loading.load(from_directory(seaco_bundle), "cpu", precision), gpu)
    lists = [words_of(tested, hotwords(seaco_bundle, count, seed)) for count, seed in MIXED]
    utterances = [Utterance(segment, lists[number % len(lists)]) for number, segment in enumerate(segments)]
    alone = [tested.recognise_utterances([utterance])[0] for utterance in utterances]
    generator = np.random.default_rng(7)
    for size in (7, FILES):
        order = generator.permutation(FILES)
        for chosen in np.array_split(order, FILES // size):
            results = tested.recognise_utterances([utterances[number] for number in chosen])
            for number, words in zip(chosen, results, strict=True):
                assert plain(words) == plain(alone[number])
    without = [number for number, utterance in enumerate(utterances) if utterance.words is None]
    assert [plain(alone[n]) for n in without] == [plain(tested.recognise([segments[n]])[0]) for n in without]
    if gpu:
        expected = recogniser.recognise_utterances(utterances)
        assert [plain(words) for words in alone] == [plain(words) for words in expected]
    tested.close()


def test_lists_are_encoded_once_and_memory_is_bounded(
    seaco_bundle: Path, recogniser: Paraformer, segments: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = bias_networks.BiasNetworks._encode

    def counted(networks: bias_networks.BiasNetworks, words: BiasWords) -> bias_networks.Encoded:
        encoded.append(words.digest)
        result = encode(networks, words)
        sizes.append(result.bytes)
        return result

    sizes: list[int] = []
    monkeypatch.setattr(bias_networks.BiasNetworks, "_encode", counted)
    lists = [words_of(recogniser, hotwords(seaco_bundle, 1000, seed)) for seed in (5, 6, 7)]
    utterances = [Utterance(segment, lists[number % 3]) for number, segment in enumerate(segments)]
    roomy = [recogniser.recognise_utterances([each])[0] for each in utterances]
    assert len(encoded) == len(set(encoded)) == 3
    assert sizes == [1001 * 6 * 2 * 144 * 4] * 3
    monkeypatch.setattr(bias_networks, "MOST_KEPT_BYTES", 2 * sizes[0])
    short = [recogniser.recognise_utterances([each])[0] for each in utterances[:6]]
    assert len(encoded) > 4  # the oldest was dropped for the newest
    assert short == roomy[:6]
    monkeypatch.setattr(bias_networks, "MOST_SCORES", 1)
    assert list(map(plain, recogniser.recognise_utterances(utterances))) == list(map(plain, roomy))


def run(engine: Engine, samples: Samples, entries: tuple[str, ...], stop: int | None = None) -> list[Sentence]:
    """A recording through one stream, or through two with a saved state between."""
    stream = engine.stream(key=object(), hotwords=entries)
    sentences = stream.accept(samples[:stop])
    if stop is not None:
        stream = engine.stream(key=object(), state=stream.state(), hotwords=entries)
        sentences += stream.accept(samples[stream.resume_sample :])
    return sentences + stream.finish()


@pytest.mark.parametrize("as_gpu", [False, True])
def test_jobs_together_and_resumed(as_gpu: bool, seaco_bundle: Path, recordings: list[Samples]) -> None:
    bundle = loading.load(from_directory(seaco_bundle), "cpu")
    engine = Engine(bundle, EngineOptions(batch_seconds=30.0, as_gpu=as_gpu))
    assert engine.card.hotwords
    try:
        jobs = [(recordings[n % 2], hotwords(seaco_bundle, count)) for n, count in enumerate((0, 5, 60, 1000))]
        alone = [run(engine, *job) for job in jobs]
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(lambda job: run(engine, job[0], job[1], stop=300_000), jobs))
        texts = [[plain(list(sentence.words)) for sentence in each] for each in alone]
        assert [[plain(list(sentence.words)) for sentence in each] for each in together] == texts
        assert texts[0] != texts[2]
        assert texts[1] != texts[3]
        state = engine.stream(hotwords=jobs[1][1]).state()
        for other in ((), jobs[2][1]):
            with pytest.raises(StaleState, match="hotwords"):
                engine.stream(state=state, hotwords=other)
        unmarked = engine.stream().state()
        assert engine.stream(state=unmarked, hotwords=("吉特哈布=>GitHub",)).finish() == []
    finally:
        engine.close()


def test_a_model_without_hotword_networks_ignores_hotwords(
    random_bundle: Path, make_engine: Callable[..., Engine], recordings: list[Samples]
) -> None:
    engine = make_engine(random_bundle, batch_seconds=30.0, max_segment_ms=None)
    assert not engine.card.hotwords
    words = hotwords(random_bundle, 60)
    assert run(engine, recordings[0], words) == run(engine, recordings[0], ())
    assert engine.stream(state=engine.stream().state(), hotwords=words).finish() == []


def test_an_unknown_variant_is_refused(seaco_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(seaco_bundle, tmp_path / "other")) / "asr"
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config["seaco_decoder_conf"]["att_layer_num"] = 5
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    loaded = loading.load(from_directory(tmp_path / "other"), "cpu")
    with pytest.raises(ModelUnavailable, match="more than 5 layers"):
        paraformer_of(loaded)


def test_a_worker_warns_that_the_file_of_pieces_is_missing(seaco_bundle: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(seaco_bundle, tmp_path / "house"))
    definition = 'name = "house"\ndescription = "By hand"\nlicence = "none"\nlanguages = ["zh"]\n'
    (tmp_path / "house.toml").write_text(definition, encoding="utf-8")
    values: dict[str, Any] = {
        "database_url": "postgresql://nowhere/none",
        "redis_url": "redis://nowhere",
        "models_dir": tmp_path,
        "model": "house",
        "model_source": "local",
        "device": "cpu",
    }

    def warnings() -> list[Any]:
        with capture_logs() as logs:
            load_engine(Settings(**values)).close()
        return [line for line in logs if line["log_level"] == "warning"]

    assert warnings() == []
    (directory / "asr" / PIECES_FILE).unlink()
    [warned] = warnings()
    assert (warned["event"], warned["file"]) == ("hotword_pieces_missing", str(directory / "asr" / PIECES_FILE))


def test_which_hotwords_can_be_written(seaco_bundle: Path) -> None:
    tokens = tokens_of(seaco_bundle)
    with_pieces, without = BiasTokenizer(tokens, seaco_bundle / "asr" / PIECES_FILE), BiasTokenizer(tokens)

    def written(tokenizer: BiasTokenizer, *entries: str) -> list[str]:
        words = tokenizer.words(entries)
        return [" ".join(tokens[number] for number in ids) for ids in words.ids] if words else []

    assert written(with_pieces, "会议:8", "Backup", "backup:3", "DataBase", "数据database") == [
        *("back@@ up", "data@@ base", "会 议", "数 据 data@@ base"),
    ]
    # A piece that the model does not know, a word that is not listed, a character it does not know, a rule.
    assert written(with_pieces, "codeboard", "Kubernetes", "会议Kubernetes", "\u4e02会", "吉特=>会议") == []
    assert written(without, "python", "会议", "backup") == ["python", "会 议"]
    first, second = with_pieces.words(["会议", "python"]), with_pieces.words(["python:9", "会议"])
    assert first is not None
    assert first == second
    assert first != with_pieces.words(["会议"])
