"""Speakers told apart by Paraqueue and by FunASR's own code, on the same audio, segments, weights and sentences.

`python -m bench.speakers --bundle DIR` with a bundle that has a speaker model. FunASR's part is what `AutoModel` does
with `spk_model="cam++"`: `sv_chunk`, `CAMPPlus`, `ClusterBackend`, `postprocess`, `distribute_spk`.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.meetings import RATE, Meeting, clips, meeting
from bench.speaker_errors import Span, cp_cer, der
from common.options.segmentation import FIXED, SEGMENTATIONS
from common.transcript.values import Sentence
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.engine import Engine
from worker.engine.speakers.clustering import ANY_NUMBER, Wanted
from worker.engine.speakers.turns import attribute, find_turns
from worker.engine.speakers.windows import Windows, records, spans, unpacked

BLOCK = 2 * RATE


@dataclass(frozen=True)
class Found:
    """What one system makes of a meeting."""

    speakers: int
    der_turns: float
    der_sentences: float
    cp_cer: float
    seconds: float

    def __str__(self) -> str:
        rates = f"{self.der_turns:.1%} | {self.der_sentences:.1%} | {self.cp_cer:.1%}"
        return f"{self.speakers} | {rates} | {self.seconds:.1f} s"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, nargs="*", default=[10.0])
    parser.add_argument("--voices", type=int, nargs="*", default=[2, 4, 8])
    parser.add_argument("--without-funasr", action="store_true", help="for lengths that FunASR takes too long for")
    options = parser.parse_args()
    engine = Engine.load(from_directory(options.bundle), "cpu", threads=options.threads)
    print("meeting | system | speakers | DER of turns | DER of sentences | cpCER | cluster (FunASR: embed and cluster)")
    cases = [("3 clips", clips())]
    cases += [(f"{v} voices, {m:g} min", meeting(v, 60 * m, 100 + v)) for m in options.minutes for v in options.voices]
    for name, recorded in cases:
        _compare(engine, options.bundle, name, recorded, with_funasr=not options.without_funasr)
    engine.close()


def _compare(engine: Engine, bundle: Path, name: str, recorded: Meeting, *, with_funasr: bool) -> None:
    sentences, segments = _recognised(engine, recorded)
    plain = cp_cer([(0, item.text) for item in recorded.said], [(0, item.text) for item in sentences])
    count = len({item.speaker for item in recorded.said})
    print(f"{name}: {recorded.seconds:.0f} s, {count} voices, CER without speakers {plain:.1%}", flush=True)
    began = time.perf_counter()
    windows = _windows(engine, recorded, segments)
    print(f"  embedding {time.perf_counter() - began:.1f} s, {len(windows)} windows", flush=True)
    for wanted in (ANY_NUMBER, Wanted(count, count)):
        ours, repeated = (_ours(recorded, windows, sentences, wanted) for _ in range(2))
        same = "equal" if ours[1] == repeated[1] else "DIFFERENT"
        given = "given" if wanted.most else "unknown"
        print(f"  ours, number {given} | {ours[0]} | repeated: {same}", flush=True)
    if with_funasr:
        for number in (None, count):
            print(f"  FunASR, number {number} | {_funasr(bundle, recorded, segments, sentences, number)}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of the process {peak:.0f} MB", flush=True)


def _recognised(engine: Engine, recorded: Meeting) -> tuple[list[Sentence], list[tuple[int, int]]]:
    """The sentences of the engine, and its VAD segments in ms."""
    stream, vad = engine.stream(), engine.vad_stream(None, SEGMENTATIONS[FIXED])
    sentences: list[Sentence] = []
    segments: list[tuple[int, int]] = []
    for start in range(0, len(recorded.samples), BLOCK):
        block = recorded.samples[start : start + BLOCK]
        sentences += stream.accept(block)
        segments += vad.accept(block)
    return sentences + stream.finish(), segments + vad.finish()


def _windows(engine: Engine, recorded: Meeting, segments: Sequence[tuple[int, int]]) -> Windows:
    stored = []
    for start_ms, end_ms in segments:
        samples = _cut(recorded, start_ms, end_ms)
        stored.append(records(0, start_ms, spans(len(samples)), engine.embed(samples).result()).tobytes())
    return unpacked(stored)


def _ours(recorded: Meeting, windows: Windows, sentences: list[Sentence], wanted: Wanted) -> tuple[Found, Any]:
    began = time.perf_counter()
    turns = find_turns(windows, wanted)
    pieces = [piece for each in attribute(sentences, turns) for piece in each]
    seconds = time.perf_counter() - began
    spans_of_turns = [Span(turn.speaker, turn.start_ms, turn.end_ms) for turn in turns]
    said = [(Span(piece.speaker or 0, piece.start_ms, piece.end_ms), piece.text) for piece in pieces]
    return _rated(recorded, spans_of_turns, said, seconds), (turns, pieces)


def _funasr(
    bundle: Path,
    recorded: Meeting,
    segments: Sequence[tuple[int, int]],
    sentences: list[Sentence],
    number: int | None,
) -> Found:
    import torch
    from funasr.models.campplus.cluster_backend import ClusterBackend
    from funasr.models.campplus.utils import distribute_spk, extract_feature, postprocess, sv_chunk

    spk = from_directory(bundle).spk
    assert spk is not None
    tables, classes = loading._funasr_tables(), ("CAMPPlus",)
    network = loading._load_part(tables, spk, classes, torch.device("cpu")).module
    began = time.perf_counter()
    pieces = []
    for start_ms, end_ms in segments:
        samples = _cut(recorded, start_ms, end_ms).astype(np.float32) / 32_768
        pieces.append([start_ms / 1000, start_ms / 1000 + len(samples) / RATE, samples])
    chunks = sv_chunk(pieces)
    embeddings = []
    with torch.inference_mode():
        for start in range(0, len(chunks), 16):
            features, _, _ = extract_feature([torch.from_numpy(item[2]) for item in chunks[start : start + 16]])
            embeddings.append(network(features))
    vectors = torch.cat(embeddings).numpy()
    given = {} if number is None else {"oracle_num": number}
    labels = ClusterBackend()(vectors, **given)
    found = postprocess(sorted(chunks, key=lambda item: item[0]), pieces, labels, vectors)
    told = distribute_spk([{"start": item.start_ms, "end": item.end_ms} for item in sentences], found)
    seconds = time.perf_counter() - began
    turns = [Span(int(speaker), int(start * 1000), int(end * 1000)) for start, end, speaker in found]
    said = [
        (Span(item["spk"], item["start"], item["end"]), sentence.text)
        for item, sentence in zip(told, sentences, strict=True)
    ]
    return _rated(recorded, turns, said, seconds)


def _cut(recorded: Meeting, start_ms: int, end_ms: int) -> Any:
    return recorded.samples[start_ms * RATE // 1000 : end_ms * RATE // 1000]


def _rated(recorded: Meeting, turns: list[Span], said: list[tuple[Span, str]], seconds: float) -> Found:
    reference = [Span(item.speaker, item.start_ms, item.end_ms) for item in recorded.said]
    texts = [(item.speaker, item.text) for item in recorded.said]
    return Found(
        len({span.speaker for span, _ in said}),
        der(reference, turns),
        der(reference, [span for span, _ in said]),
        cp_cer(texts, [(span.speaker, text) for span, text in said]),
        seconds,
    )


if __name__ == "__main__":
    main()
