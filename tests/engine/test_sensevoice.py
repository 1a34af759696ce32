"""SenseVoiceSmall: FunASR's class with random weights, and a vocabulary made for the test."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from common.errors import ModelUnavailable
from common.transcript.values import Tags
from tests.engine import sensevoice_models as models
from tests.engine.test_stream import feed, plain
from worker.engine.assembly import recogniser_of, sensevoice_of
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import bundle_spec, from_directory
from worker.engine.engine import Engine
from worker.engine.recognition.sensevoice.recogniser import SenseVoice
from worker.engine.recognition.sensevoice.words import Vocabulary, tokens_of, words_of
from worker.engine.recognition.utterance import Recognised, Utterance
from worker.engine.recognition.words import split_words

Samples = NDArray[np.int16]


FILES = 50


TAG = re.compile(r"<\|\w+\|>")


HEAD = re.compile(r"<\|[a-z]+\|><\|NEUTRAL\|><\|BGM\|><\|woitn\|>")


@pytest.fixture(scope="module")
def bundle(random_bundle: Path, tmp_path_factory: pytest.TempPathFactory, recordings: list[Samples]) -> Path:
    """One piece for each character: FunASR's tokeniser divides a text into the tokens that it was made of."""
    target = tmp_path_factory.mktemp("sensevoice") / "sensevoice"
    return models.write_bundle(random_bundle, target, models.vocabulary("char"), recordings[0][:128_000])


@pytest.fixture(scope="module")
def bpe_bundle(random_bundle: Path, tmp_path_factory: pytest.TempPathFactory, recordings: list[Samples]) -> Path:
    """Pieces of words, and bytes."""
    target = tmp_path_factory.mktemp("sensevoice") / "sensevoice-bpe"
    return models.write_bundle(random_bundle, target, models.vocabulary("bpe"), recordings[0][:128_000])


@pytest.fixture(scope="module")
def recogniser(bundle: Path) -> SenseVoice:
    return sensevoice_of(loading.load(from_directory(bundle), "cpu"), gpu_layout=False)


def utterances(recordings: list[Samples], count: int, seed: int, shortest: int = 400) -> list[Utterance]:
    """Pieces of up to 9 s of the recordings, each with a language or none."""
    generator = np.random.default_rng(seed)
    chosen = []
    for _ in range(count):
        audio = recordings[int(generator.integers(len(recordings)))]
        length = int(generator.integers(shortest, 9 * 16_000))
        start = int(generator.integers(0, len(audio) - length))
        language = [None, "zh", "en", "yue", "ja", "ko"][int(generator.integers(6))]
        chosen.append(Utterance(audio[start : start + length], language=language))
    return chosen


def said(recognised: Recognised) -> tuple[list[tuple[str, int, int]], Tags | None]:
    return [(word.text, word.start_ms, word.end_ms) for word in recognised.words], recognised.tags


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_text_and_tags_equal_funasr(kind: str, bundle: Path, bpe_bundle: Path, recordings: list[Samples]) -> None:
    directory = bundle if kind == "char" else bpe_bundle
    theirs = models.funasr(directory)
    ours = recogniser_of(loading.load(from_directory(directory), "cpu"))
    characters, languages = 0, set()
    for item in utterances(recordings, FILES, 31):
        [expected] = theirs.generate(item.samples.astype(np.float32) / 32768, language=item.language or "auto")
        recognised = ours.transcribe([item])[0]
        assert [word.text for word in recognised.words] == split_words(TAG.sub("", expected["text"]))
        tags = [tag[2:-2] for tag in TAG.findall(expected["text"])]
        assert recognised.tags is not None
        assert recognised.tags.language == next((tag for tag in tags if tag in models.ASKED), None)
        emotions = [tag.lower() for tag in tags if tag in ("HAPPY", "SAD", "ANGRY", "NEUTRAL")]
        assert recognised.tags.emotion == (emotions or [None])[0]
        assert recognised.tags.events == tuple(tag.lower() for tag in ("BGM", "Applause", "Laughter") if tag in tags)
        characters += len(expected["text"])
        languages.add(recognised.tags.language)
    assert characters > 2_000
    assert languages >= {"zh", "en", "yue", "ja", "ko"}
    ours.close()


def test_times_equal_funasrs_alignment(
    bundle: Path, recordings: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FunASR's times of tokens, before it joins them: it joins letters across spaces, too."""
    theirs = models.funasr(bundle)
    aligned: list[list[Any]] = []
    join = theirs.model.post

    def keep(times: list[Any]) -> Any:
        aligned.append(list(times))
        return join(times)

    monkeypatch.setattr(theirs.model, "post", keep)
    loaded = loading.load(from_directory(bundle), "cpu")
    ours, vocabulary = sensevoice_of(loaded, gpu_layout=False), Vocabulary(loaded.asr.tokens)
    compared = words = 0
    for item in utterances(recordings, FILES + 10, 37, 4_000):
        aligned.clear()
        samples = item.samples.astype(np.float32) / 32768
        [answer] = theirs.generate(samples, language=item.language or "auto", output_timestamp=True)
        if not HEAD.match(answer["text"]):  # FunASR takes the first four tokens for tags, whatever they are
            continue
        expected = [
            (text, round(begin * 1000), round(end * 1000))
            for text, begin, end in (aligned[0] if aligned else [])
            if not TAG.fullmatch(text) and text != "▁"
        ]
        features, lengths = ours._frontend([item.samples])
        scores = ours._networks(features, lengths, [item.language or "auto"])
        if (
            scores.ids[3] == scores.ids[4]
        ):  # the last tag goes on in the first frame of speech, which FunASR aligns anew
            continue
        tokens = [
            token
            for token in tokens_of(scores.ids, scores.log_probabilities)
            if token.id not in vocabulary.tags and vocabulary.pieces[token.id] != "▁"
        ]
        single = [
            (word.text, word.start_ms, word.end_ms)
            for token in tokens
            for word in words_of(vocabulary, [token], int(lengths[0]))
        ]
        assert single == expected
        compared += 1
        words += len(single)
    assert compared >= FILES
    assert words > 500
    ours.close()


def test_a_segment_is_the_same_alone_and_in_any_batch(recogniser: SenseVoice, recordings: list[Samples]) -> None:
    items = utterances(recordings, 24, 29)
    alone = [recogniser.transcribe([item])[0] for item in items]
    assert sum(len(one.words) for one in alone) > 200
    generator = np.random.default_rng(3)
    for size in (5, 24):
        order = generator.permutation(len(items))
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            for index, one in zip(chosen, recogniser.transcribe([items[i] for i in chosen]), strict=True):
                assert said(one) == said(alone[index])
                confidences = [word.confidence for word in one.words]
                np.testing.assert_allclose(confidences, [w.confidence for w in alone[index].words], rtol=1e-3)


def test_the_layout_of_a_gpu_gives_the_same(bundle: Path, recogniser: SenseVoice, recordings: list[Samples]) -> None:
    padded = sensevoice_of(loading.load(from_directory(bundle), "cpu"), gpu_layout=True)
    items = utterances(recordings, 12, 41)
    assert list(map(said, padded.transcribe(items))) == list(map(said, recogniser.transcribe(items)))
    padded.close()


def test_int8_is_the_same_to_the_last_bit_in_any_batch(bpe_bundle: Path, recordings: list[Samples]) -> None:
    loaded = loading.load(from_directory(bpe_bundle), "cpu")
    exact = sensevoice_of(loaded, gpu_layout=False)
    ours = sensevoice_of(loading.load(from_directory(bpe_bundle), "cpu", "int8"), gpu_layout=False)
    items = utterances(recordings, 16, 43)
    together = ours.transcribe(items)
    assert together == [ours.transcribe([item])[0] for item in items]
    assert together != exact.transcribe(items)
    right = sum(a.tags == b.tags for a, b in zip(together, exact.transcribe(items), strict=True))
    assert right >= 12
    exact.close()
    ours.close()


def test_half_precision_is_near_and_really_half(bundle: Path, recordings: list[Samples]) -> None:
    """What a GPU runs, here on the CPU."""
    from worker.engine.recognition.sensevoice.networks import PaddedNetworks

    loaded = loading.load(from_directory(bundle), "cpu")
    frontend = sensevoice_of(loaded, gpu_layout=True)._frontend
    batch = frontend([item.samples for item in utterances(recordings, 4, 47)])
    full = PaddedNetworks(loaded.asr.module, torch.device("cpu"))(*batch, ["zh", "en", "auto", "ko"])
    half = PaddedNetworks(loaded.asr.module, torch.device("cpu"), "bf16")(*batch, ["zh", "en", "auto", "ko"])
    assert np.mean(full.ids == half.ids) > 0.9
    assert np.isfinite(half.log_probabilities).all()
    assert not np.array_equal(half.log_probabilities, full.log_probabilities)


def test_segments_without_words_leave_the_others(recogniser: SenseVoice, recordings: list[Samples]) -> None:
    speech = Utterance(recordings[0][16_000:64_000], language="zh")
    tiny, empty = Utterance(np.zeros(399, np.int16)), Utterance(np.zeros(0, np.int16), language="ko")
    nothing, words, also_nothing = recogniser.transcribe([tiny, speech, empty])
    assert (nothing, also_nothing) == (Recognised([]), Recognised([]))
    assert said(words) == said(recogniser.transcribe([speech])[0])
    assert recogniser.transcribe([]) == []
    assert recogniser.transcribe([tiny]) == [Recognised([])]


@pytest.mark.parametrize(
    ("language", "answer"),
    [("zh-CN", "zh"), ("ZH", "zh"), ("yue", "yue"), ("en_US", "en"), ("ko", "ko"), (None, "zh"), ("fr", "zh")],
)
def test_the_language_of_the_job_is_asked_for(
    language: str | None, answer: str, recogniser: SenseVoice, recordings: list[Samples]
) -> None:
    tags = recogniser.transcribe([Utterance(recordings[1][:64_000], language=language)])[0].tags
    assert tags is not None
    assert tags.language == answer


def test_resumed_equals_undisturbed(
    bundle: Path, make_engine: Callable[..., Engine], recordings: list[Samples]
) -> None:
    engine = make_engine(bundle, batch_seconds=30.0, max_segment_ms=3000)
    generator = np.random.default_rng(17)
    for samples in recordings[:2]:
        whole = feed(engine, samples, generator, [])
        undisturbed = plain(whole)
        assert len(undisturbed) > 3
        assert not TAG.search("".join(text for text, *_ in undisturbed))
        assert {sentence.tags.emotion for sentence in whole if sentence.tags} == {"neutral"}
        assert all(sentence.tags and "bgm" in sentence.tags.events for sentence in whole)
        for _ in range(2):
            stops = [int(stop) for stop in generator.integers(1, len(samples), 4)]
            resumed = feed(engine, samples, generator, stops)
            assert plain(resumed) == undisturbed
            assert [sentence.tags for sentence in resumed] == [sentence.tags for sentence in whole]


def test_a_japanese_or_korean_sentence_ends_with_its_segment(
    bundle: Path,
    make_engine: Callable[..., Engine],
    recordings: list[Samples],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = make_engine(bundle, batch_seconds=30.0, max_segment_ms=3000)
    ends = {}
    for language in ("ja", "ko", "en"):
        stream = engine.stream(language=language)
        segments: list[int] = []
        submit = stream._submit

        def submitted(cut: Any, segments: list[int] = segments, submit: Any = submit) -> None:
            segments += [end for _, end in cut]
            submit(cut)

        monkeypatch.setattr(stream, "_submit", submitted)
        sentences = stream.accept(recordings[2]) + stream.finish()
        behind = [next(place for place, end in enumerate(segments) if s.words[-1].start_ms < end) for s in sentences]
        begun = [next(place for place, end in enumerate(segments) if s.words[0].start_ms < end) for s in sentences]
        ends[language] = sum(last > first for first, last in zip(begun, behind, strict=True))
        assert len(sentences) > 3
    assert ends["ja"] == ends["ko"] == 0
    assert ends["en"] > 0


def test_files_that_are_missing_or_of_another_model_are_told(bundle: Path, bpe_bundle: Path, tmp_path: Path) -> None:
    import shutil

    copied = Path(shutil.copytree(bundle, tmp_path / "sensevoice-small"))
    pieces = copied / "asr" / models.PIECES
    known = bundle_spec("sensevoice-small")
    content = pieces.read_bytes()
    pieces.unlink()
    with pytest.raises(ModelUnavailable, match=f"asr/{models.PIECES} is missing"):
        from_directory(copied, spec=known)
    (copied / "asr" / "tokens.json").write_text('["<unk>"]', encoding="utf-8")
    with pytest.raises(ModelUnavailable, match=r"needs its SentencePiece model"):
        loading.load(from_directory(copied, "other"), "cpu")
    pieces.write_bytes(content[:100])
    with pytest.raises(ModelUnavailable, match=r"not a readable SentencePiece model"):
        loading.load(from_directory(copied, "other"), "cpu")
    pieces.write_bytes((bpe_bundle / "asr" / models.PIECES).read_bytes())
    with pytest.raises(ModelUnavailable, match=r"of another shape, e\.g\. ctc\.ctc_lo\.bias"):
        loading.load(from_directory(copied, "other"), "cpu")
