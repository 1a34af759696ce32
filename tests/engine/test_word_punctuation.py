"""The punctuation model that counts words, and SeACo-Paraformer: FunASR's own classes with random weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jieba
import numpy as np
import pytest
import torch
import yaml

from common.errors import ModelUnavailable
from common.transcript.values import Sentence, Word, joined_text
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import WORDS_FILE, from_directory
from worker.engine.punctuation.punctuator import PunctuationStream, Punctuator
from worker.engine.punctuation.segmenter import Segmenter, TokenStream

VOCABULARY = 471_067
ENGLISH = ("project", "AI", "deadline", "it's", "API", "ok")
ODD = ("3", "7", "b2b", "c++", "3.14", "%", "@", "#1", "°", "𠮷", "w", "i", "fi-fi")
HOUSE_WORDS = ("云计算平台 50 n", "人工智能大会", "阿里云 3", "c++ 9 n")


def texts_of(count: int, generator: np.random.Generator, words: list[str]) -> list[str]:
    """Texts of words as recognition gives them: characters of dictionary words, English, and odd things."""
    texts: list[str] = []
    while len(texts) < count:
        kind = generator.random()
        if kind < 0.75:
            texts += list(str(generator.choice(words)))
        elif kind < 0.85:
            texts.append(str(generator.choice(ENGLISH)))
        elif kind < 0.93:
            texts.append(chr(int(generator.integers(0x4E00, 0x9FA5))))
        else:
            texts.append(str(generator.choice(ODD)))
    return texts[:count]


def timed(texts: list[str]) -> list[Word]:
    return [Word(text, 100 * k, 100 * k + 90, 0.9) for k, text in enumerate(texts)]


@pytest.fixture(scope="module")
def dictionary_words() -> list[str]:
    """Words of jieba's dictionary, of one to six characters, evenly taken; and the house's own."""
    jieba.setLogLevel(60)
    jieba.initialize()
    known = sorted(word for word, weight in jieba.dt.FREQ.items() if weight and re.fullmatch("[一-龥]{1,6}", word))
    return known[::97] + [line.split()[0] for line in HOUSE_WORDS if not line.isascii()] * 20


@pytest.fixture(scope="module")
def word_bundle(random_bundle: Path, dictionary_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose punctuation has ct-punc's vocabulary size and dictionary file, in small layers."""
    target = Path(shutil.copytree(random_bundle, tmp_path_factory.mktemp("words") / "words"))
    folder = target / "punc"
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    known = ["<unk>", *dict.fromkeys([*dictionary_words, *ENGLISH, *ODD])]
    tokens = known + [f"word{number}" for number in range(VOCABULARY - len(known))]
    (folder / "tokens.json").write_text(json.dumps(tokens, ensure_ascii=False), encoding="utf-8")
    (folder / WORDS_FILE).write_text("\n".join(HOUSE_WORDS) + "\n", encoding="utf-8")
    config["model_conf"]["embed_unit"] = 16
    config["model_conf"]["att_unit"] = 16
    config["encoder_conf"] = config["encoder_conf"] | {"input_size": 16, "output_size": 16, "attention_heads": 2}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    torch.manual_seed(11)
    module = loading._build(loading._funasr_tables(), config, len(tokens), torch.device("cpu"))
    with torch.no_grad():
        module.decoder.weight.mul_(3)
        module.decoder.bias[list(module.punc_list).index("_")] += 1.5
    torch.save(module.state_dict(), folder / "model.pt")
    return target


@pytest.fixture(scope="module")
def part(word_bundle: Path) -> loading.ModelPart:
    return loading.load(from_directory(word_bundle), "cpu").punc


@pytest.fixture(scope="module")
def segmenter(part: loading.ModelPart) -> Segmenter:
    return Segmenter(part.files[WORDS_FILE])


@pytest.fixture(scope="module")
def funasr_jieba(part: loading.ModelPart) -> Iterator[Any]:
    """jieba as FunASR loads it: its global tokenizer with the model's dictionary."""
    before = dict(jieba.dt.FREQ), jieba.dt.total
    jieba.load_userdict(str(part.files[WORDS_FILE]))
    yield jieba
    jieba.dt.FREQ, jieba.dt.total = before


def streamed(punctuator: Punctuator, words: list[Word], generator: np.random.Generator) -> list[Sentence]:
    """In pieces of random sizes, with the state saved and restored now and then."""

    def new() -> PunctuationStream:
        return PunctuationStream(punctuator, lambda window: punctuator.label([window])[0])

    stream, sentences, position = new(), [], 0
    while position < len(words):
        step = int(generator.integers(1, 30))
        sentences += stream.accept(words[position : position + step])
        position += step
        if generator.random() < 0.3:
            state = json.loads(json.dumps(stream.state()))
            stream = new()
            stream.restore(state)
    return sentences + stream.finish()


def normal(text: str) -> str:
    """Without the spaces after marks, which differ at the start of FunASR's windows and of our sentences."""
    return re.sub(r"(?<=[。？，、.?,]) +", "", text).strip()


def test_pieces_are_divided_like_the_whole_text(
    segmenter: Segmenter, funasr_jieba: Any, dictionary_words: list[str]
) -> None:
    from funasr.models.ct_transformer.utils import split_words

    generator = np.random.default_rng(3)
    for round_ in range(300):
        texts = texts_of(int(generator.integers(1, 120)), generator, dictionary_words)
        expected = split_words(" ".join(texts), jieba_usr_dict=funasr_jieba)
        stream, tokens, position = TokenStream(segmenter), [], 0
        while position < len(texts):
            step = int(generator.integers(1, 9))
            tokens += stream.accept(timed(texts)[position : position + step])
            position += step
            assert sum(len(word.text) for word in stream.state()) <= 60  # a few characters wait, not the text
        tokens += stream.finish()
        assert [token.text for token in tokens] == expected, round_
        for token in tokens:
            assert "".join(word.text for word in token.words) == token.text


def test_text_equals_funasr(
    part: loading.ModelPart, segmenter: Segmenter, funasr_jieba: Any, dictionary_words: list[str]
) -> None:
    from funasr.tokenizer.char_tokenizer import CharTokenizer

    tokenizer: Any = CharTokenizer(token_list=part.tokens, unk_symbol="<unk>", split_with_space=True)
    punctuator = Punctuator(part.module, part.tokens, torch.device("cpu"), segmenter)
    generator = np.random.default_rng(29)
    part.module.jieba_usr_dict = funasr_jieba
    try:
        for count in [1, 2, 3, 19, 20, 21, 40, 57, 100, 299, 400, *generator.integers(1, 300, 50).tolist()]:
            words = timed(texts_of(count, generator, dictionary_words))
            text = " ".join(word.text for word in words)
            with torch.no_grad():
                results, _ = part.module.inference([text], key=["k"], tokenizer=tokenizer, device="cpu")
            sentences = streamed(punctuator, words, generator)
            assert normal(joined_text(sentences)) == normal(results[0]["text"])
            joined = "".join(word.text for sentence in sentences for word in sentence.words)
            assert joined == "".join(word.text for word in words)
    finally:
        part.module.jieba_usr_dict = None


def test_a_word_that_tokens_cut_shares_its_time(segmenter: Segmenter) -> None:
    stream = TokenStream(segmenter)
    tokens = stream.accept([Word("%é", 0, 100, 0.5), Word("天", 100, 200, 1.0)]) + stream.finish()
    assert [token.text for token in tokens] == ["%", "é", "天"]
    assert [word for token in tokens for word in token.words] == [
        Word("%", 0, 50, 0.5),
        Word("é", 50, 100, 0.5),
        Word("天", 100, 200, 1.0),
    ]


def test_text_without_a_safe_place_is_bounded(segmenter: Segmenter) -> None:
    stream = TokenStream(segmenter)
    tokens = stream.accept(timed(["7"] * 1000))
    assert tokens
    assert sum(len(word.text) for word in stream.state()) <= 200


def test_a_model_that_counts_words_is_known_by_its_vocabulary(word_bundle: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(word_bundle, tmp_path / "copied"))
    (copied / "punc" / WORDS_FILE).unlink()
    with pytest.raises(ModelUnavailable, match="counts words; it needs its jieba_usr_dict"):
        loading.load(from_directory(copied), "cpu")


def test_a_dictionary_beside_a_model_that_counts_characters_changes_nothing(
    random_bundle: Path, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(random_bundle, tmp_path / "copied"))
    (copied / "punc" / WORDS_FILE).write_text("今天天气 9 n\n", encoding="utf-8")
    assert not loading.load(from_directory(copied), "cpu").punc.counts_words


def test_the_dictionary_of_a_model_stays_its_own(segmenter: Segmenter) -> None:
    assert "云计算平台" in segmenter.words("云计算平台")
    assert jieba.Tokenizer().lcut("云计算平台", HMM=False) != ["云计算平台"]


def test_a_word_beyond_ascii_is_written_as_a_latin_word(segmenter: Segmenter, part: loading.ModelPart) -> None:
    """FunASR joins such a word to its neighbours and gives it full-width marks."""
    punctuator = Punctuator(part.module, part.tokens, torch.device("cpu"), segmenter)
    comma = punctuator.marks.index("，")
    stream = PunctuationStream(punctuator, lambda window: np.array([comma] * len(window)))
    words = [Word(text, 100 * k, 100 * k + 100, 1.0) for k, text in enumerate(["élan", "café", "好"])]
    (sentence,) = stream.accept(words) + stream.finish()
    assert sentence.text == "Élan, café,好。"
