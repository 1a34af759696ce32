"""`python -m training`: make the bundled models; `evaluate` and `samples` do only that part.

python -m training                 synthesise, train, measure, write models/demo-zh and its card
python -m training evaluate        measure models/demo-zh and print the table
python -m training samples         make samples/ again
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import torch

from training import corpus, evaluate, punctuation, recognizer, samples, vad
from training.bundle import BUNDLE
from training.card import Training, write_card

_SEED = 1
_TRAINING_RECORD = "training.json"
_CACHE = BUNDLE.parent.parent / ".paraqueue"
_CORPUS_SOURCES = ("corpus.py", "speech.py", "text.py", "patterns.py", "vocabulary.py")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", choices=("make", "evaluate", "card", "samples"), default="make")
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="the directory of the bundle")
    parser.add_argument("--segments", type=int, default=5000, help="training segments (8.5 s each on average)")
    parser.add_argument("--steps", type=int, default=recognizer.Plan.steps, help="training steps of the recogniser")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="the recogniser's time limit")
    parser.add_argument("--resume", action="store_true", help="train the recogniser of the bundle further, only it")
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    if options.what == "samples":
        samples.write_samples()
    elif options.what == "evaluate":
        print(evaluate.table(evaluate.measure(options.bundle)))
    else:
        if options.what == "make":
            plan = recognizer.Plan(options.steps, options.minutes * 60, resume=options.resume)
            make(options.bundle, options.segments, plan)
        results = evaluate.measure(options.bundle)
        record = json.loads((options.bundle / _TRAINING_RECORD).read_text("utf-8"))
        write_card(options.bundle, results, Training(**record))
        print(evaluate.table(results))


def make(bundle: Path, segment_count: int, plan: recognizer.Plan) -> None:
    """Train the three models and write them and the training report to `bundle`."""
    stored = bundle / _TRAINING_RECORD
    if plan.resume:
        before = Training(**json.loads(stored.read_text("utf-8")))
    else:
        before = Training(0, 0, vad.train(bundle / "vad"), punctuation.train(bundle / "punc"))
    segments = _segments(segment_count)
    seconds = recognizer.train(bundle / "asr", segments, plan)
    hours = sum(len(segment.features) for segment in segments) * corpus.FRAME_MS / 3_600_000
    minutes = before.recogniser_minutes + seconds / 60
    record = replace(before, hours_of_speech=round(hours, 1), recogniser_minutes=round(minutes, 1))
    stored.write_text(json.dumps(asdict(record), indent=1) + "\n", "utf-8")


def _segments(count: int) -> list[corpus.Segment]:
    """The training segments; cached in `.paraqueue/` and regenerated if the code that makes them has changed."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    made_by = hashlib.sha256(b"".join(file.read_bytes() for file in sources if file.name in _CORPUS_SOURCES))
    stored = _CACHE / f"training-{count}-{_SEED}-{made_by.hexdigest()[:12]}.npz"
    if not stored.exists():
        _CACHE.mkdir(exist_ok=True)
        fresh = stored.with_suffix(".new.npz")
        corpus.save_corpus(fresh, corpus.make_corpus(count, _SEED, os.cpu_count() or 1))
        fresh.replace(stored)
    return corpus.load_corpus(stored)


if __name__ == "__main__":
    main()
