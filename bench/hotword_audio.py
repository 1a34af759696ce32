"""How well hotwords are found in speech: names and terms that the demo recogniser does not know, in unheard voices.

python -m bench.hotword_audio [--half held-out]

Each term is spoken in five sentences. All recordings are recognised once, and the text is finished without and with the
list of all terms; recordings without any of them show what is replaced by mistake. Terms and sentences are in two
halves, and so are the rules' development and the published numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from rapidfuzz.distance import Levenshtein

from bench import machine
from bench.hotwords import LATIN, NAMES, TERMS
from bench.models import DEMO
from common.transcript.text_rules import TextRules, finished
from common.transcript.values import Sentence
from training import speech
from training.text import held_out_sentences, plain
from worker.engine.bundles.bundles import from_directory
from worker.engine.engine import Engine

_DEVELOPMENT = """
今天讨论{}的问题。 我想了解一下{}。 关于{}，大家有什么意见？ {}已经说过了。 请把{}的报告发给我。
"""
_HELD_OUT = """
我们明天要介绍{}。 {}的负责人是谁？ 没有{}，项目就没法开始。 医生说{}非常重要。 客户想看{}的资料。
"""
FRAMES = {"development": _DEVELOPMENT.split(), "held-out": _HELD_OUT.split()}
KINDS = {"names": NAMES, "terms": TERMS, "Latin": LATIN}
PER_RECORDING = 40
WITHOUT_TERMS = 200
PAUSE_SECONDS = (0.9, 1.5)


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence that is spoken, and the term in it with its kind (both "" if there is none)."""

    text: str
    term: str = ""
    kind: str = ""


@dataclass(slots=True)
class Counts:
    """Terms spoken and found; characters outside of terms, and errors there."""

    spoken: int = 0
    found: int = 0
    characters: int = 0
    errors: int = 0

    @property
    def error_rate(self) -> float:
        """Character error rate outside of terms."""
        return self.errors / self.characters


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording: what was said, and the recognised sentences."""

    said: tuple[Said, ...]
    sentences: tuple[Sentence, ...]


def halves(terms: Sequence[str]) -> dict[str, list[str]]:
    """Divide terms at random."""
    mixed = sorted(terms)
    Random(20).shuffle(mixed)
    return dict(zip(FRAMES, (mixed[::2], mixed[1::2]), strict=True))


def with_terms(half: str) -> list[Said]:
    """The sentences of a half, in random order."""
    every = [
        Said(frame.format(term), term, kind)
        for kind, terms in KINDS.items()
        for term in halves(terms)[half]
        for frame in FRAMES[half]
    ]
    Random(3).shuffle(every)
    return every


def without_terms(half: str) -> list[Said]:
    """Sentences of the demo corpus that were held out from training."""
    return [Said(text) for text in held_out_sentences(WITHOUT_TERMS, 5 + list(FRAMES).index(half))]


def heard(engine: Engine, said: Sequence[Said]) -> list[Heard]:
    """Speak sentences in recordings of a few minutes, and recognise them."""
    recordings = []
    for first in range(0, len(said), PER_RECORDING):
        part = tuple(said[first : first + PER_RECORDING])
        spoken = speech.compose([each.text for each in part], speech.HELD_OUT_VOICES, first, PAUSE_SECONDS)
        stream = engine.stream(key="bench")
        sentences = stream.accept(speech.to_pcm(spoken.samples)) + stream.finish()
        recordings.append(Heard(part, tuple(sentences)))
    return recordings


def counted(recordings: Sequence[Heard], hotwords: tuple[str, ...], kind: str = "") -> Counts:
    """Count terms (of one kind, or all) and errors in the text that these hotwords give.

    A term is found if the shortest edit from what was said changes none of its characters.
    """
    counts, rules = Counts(), TextRules(hotwords=hotwords)
    for recording in recordings:
        said, spans = _reference(recording.said)
        text = plain("".join(finished(sentence, rules).text for sentence in recording.sentences))
        edits = [edit.src_pos for edit in Levenshtein.editops(said, text)]
        inside = {place for start, end, _ in spans for place in range(start, end)}
        counts.characters += len(said) - len(inside)
        counts.errors += sum(place not in inside for place in edits)
        for start, end, own in spans:
            if own.kind == kind or not kind:
                counts.spoken += 1
                counts.found += not any(start <= place < end for place in edits)
    return counts


def replaced(recordings: Sequence[Heard], hotwords: tuple[str, ...]) -> tuple[int, int]:
    """How many words are replaced, of how many."""
    rules = TextRules(hotwords=hotwords)
    words = [word for each in recordings for sentence in each.sentences for word in finished(sentence, rules).words]
    return sum(bool(word.replaced_from) for word in words), len(words)


def _reference(said: Sequence[Said]) -> tuple[str, list[tuple[int, int, Said]]]:
    """The characters of sentences, and where each term stands in them."""
    text, spans = "", []
    for each in said:
        written = plain(each.text)
        if each.term:
            start = len(text) + written.index(plain(each.term))
            spans.append((start, start + len(plain(each.term)), each))
        text += written
    return text, spans


def main() -> None:
    """Print the table in Markdown, with its conditions."""
    parser = argparse.ArgumentParser(prog="python -m bench.hotword_audio", description=__doc__)
    parser.add_argument("--half", choices=tuple(FRAMES), default="held-out")
    half = parser.parse_args().half
    engine = Engine.load(from_directory(DEMO), "cpu", threads=1, batch_seconds=60.0)
    spoken, others = heard(engine, with_terms(half)), heard(engine, without_terms(half))
    engine.close()
    print(f"{machine.processor()}, 1 thread; demo-zh, fp32; half {half}\n")
    print("| hotwords | names | terms | Latin | CER outside | CER without terms | replaced there |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    terms = sorted(term for each in KINDS.values() for term in halves(each)[half])
    lists = {"none": ()} | {f"weight {n}": tuple(f"{term}:{n}" for term in terms) for n in (5, 8, 10)}
    for name, listed in lists.items():
        found = [counted(spoken, listed, kind) for kind in KINDS]
        cells = [f"{each.found}/{each.spoken}" for each in found]
        wrong, words = replaced(others, listed)
        rates = found[0].error_rate, counted(others, listed).error_rate
        print(f"| {name} | {' | '.join(cells)} | {rates[0]:.2%} | {rates[1]:.2%} | {wrong} of {words} |")


if __name__ == "__main__":
    main()
