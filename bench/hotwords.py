"""How many misrecognised hotwords are found, and how many other words are replaced by mistake.

python -m bench.hotwords

No audio: terms in generated sentences are written with other characters of the same or a near sound, or misspelled, all
words get one confidence, and the rules of `common.transcript.hotwords` are applied.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random

from common.transcript.hotwords import corrected
from common.transcript.hotwords.entries import HAN
from common.transcript.hotwords.sounds import all_readings_of, difference
from common.transcript.realign import SPOKEN
from common.transcript.values import Sentence, Word
from training.text import held_out_sentences

_NAMES = """
欧阳娜娜 单田芳 曾国藩 令狐冲 张维迎 王传福 李彦宏 雷军 周鸿祎 段永平 宁静 林徽因 沈从文 钱锺书 季羡林 郎朗 罗振宇 樊登
黄峥 丁磊 苏炳添 樊振东 全红婵 谷爱凌 屠呦呦
"""
_TERMS = """
石墨烯 量子纠缠 语音识别 区块链 大语言模型 知识图谱 声纹识别 热词 强化学习 梯度下降 注意力机制 联邦学习 碳中和 光刻机
冠状动脉 阿莫西林 布洛芬 二甲双胍 心房颤动 腹腔镜 核磁共振 期权 量化宽松 可转债 市盈率 尽职调查 不可抗力 仲裁条款
普洱茶 螺蛳粉 景德镇 敦煌莫高窟 呼和浩特 乌鲁木齐 鄂尔多斯 秦皇岛 张家界 九寨沟
"""
_LATIN = """
Kubernetes DeepSeek Paraformer PostgreSQL TensorFlow PyTorch Prometheus Grafana GitHub OpenAI Elasticsearch ClickHouse
RabbitMQ Terraform WebSocket Snowflake
"""
NAMES, TERMS, LATIN = _NAMES.split(), _TERMS.split(), _LATIN.split()
HOTWORDS = (*NAMES, *TERMS, *LATIN)
SENTENCES = 2_000
MEETING = Path(__file__).parents[1] / "samples" / "meeting.json"


def sentence_of(text: str, confidence: float) -> Sentence:
    """A sentence whose words all have this confidence."""
    words = tuple(Word(item, i * 200, i * 200 + 200, confidence) for i, item in enumerate(SPOKEN.findall(text)))
    return Sentence(text, 0, len(words) * 200, confidence, words)


class Mishearing:
    """Writes terms wrongly, with the 3,755 most common characters (GB 2312, level 1)."""

    def __init__(self, random: Random) -> None:
        self._random = random
        codes = (bytes((high, low)) for high in range(0xB0, 0xD8) for low in range(0xA1, 0xFF))
        characters = "".join(code.decode("gb2312", "ignore") for code in codes)
        self._read_as: dict[str, list[str]] = defaultdict(list)
        for char in characters:
            self._read_as[all_readings_of(char)[0][0]].append(char)

    def of(self, term: str, *, near: bool) -> str | None:
        """Return the term with half of its syllables in other characters, one of them only near if asked for."""
        if not HAN.search(term):
            return self._misspelled(term) if near else " ".join((term[:4].lower(), term[4:].lower()))
        readings = [each[0] for each in all_readings_of(term)]
        places = set(self._random.sample(range(len(term)), (len(term) + 1) // 2))
        written = list(term)
        for number, place in enumerate(sorted(places)):
            options = self._written(readings[place], term[place], near=near and number == 0)
            if not options:
                return None
            written[place] = self._random.choice(options)
        return "".join(written)

    def _written(self, reading: str, char: str, *, near: bool) -> list[str]:
        wanted = [other for other in self._read_as if difference(reading, other) == int(near)]
        return [option for other in wanted for option in self._read_as[other] if option != char]

    def _misspelled(self, term: str) -> str:
        place = self._random.randrange(1, len(term))
        return (term[:place] + self._random.choice("aeioursntl") + term[place + 1 :]).lower()


def recall(terms: Sequence[str], confidence: float, *, near: bool) -> tuple[int, int]:
    """Return how many of the misheard terms were found, each in five sentences, and their number."""
    random = Random(1)
    mishearing = Mishearing(random)
    frames = ("今天讨论{}的问题。", "我想了解一下{}。", "关于{}，大家有什么意见？", "{}已经说过了。", "这就是{}。")
    found = total = 0
    for term in terms:
        for frame in frames:
            wrong = mishearing.of(term, near=near)
            if wrong is not None:
                total += 1
                found += corrected(sentence_of(frame.format(wrong), confidence), HOTWORDS).text == frame.format(term)
    return found, total


def replaced(texts: Sequence[str], confidence: float) -> tuple[int, int]:
    """Return how many words of texts without mistakes were replaced, and the number of words."""
    before = [sentence_of(text, confidence) for text in texts]
    after = [corrected(sentence, HOTWORDS) for sentence in before]
    changed = sum(word.replaced_from is not None for sentence in after for word in sentence.words)
    return changed, sum(len(sentence.words) for sentence in before)


def main() -> None:
    """Print both tables in Markdown."""
    meeting = [sentence["text"] for sentence in json.loads(MEETING.read_text("utf-8"))["sentences"]]
    texts = [*meeting, *held_out_sentences(SENTENCES, 3)]
    print("| confidence | kind | same sound | near sound | replaced by mistake |\n| --- | --- | ---: | ---: | ---: |")
    for confidence in (0.5, 0.7, 0.85, 0.95):
        wrong, words = replaced(texts, confidence)
        for kind, terms in (("names", NAMES), ("terms", TERMS), ("Latin", LATIN)):
            same, near = (recall(terms, confidence, near=near) for near in (False, True))
            print(f"| {confidence} | {kind} | {same[0]}/{same[1]} | {near[0]}/{near[1]} | {wrong} of {words} |")


if __name__ == "__main__":
    main()
