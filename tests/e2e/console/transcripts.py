"""Transcripts for the console to show, put where a worker would have put them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import jobs
from common.db import Database
from common.jobs import Finished, Job
from common.settings import Settings
from common.storage import make_storage
from common.transcript.values import Part, Sentence, Word
from tests.db.job_cases import claimed, execute, uploaded

# No worker of the tests' service serves it, so none takes the job away while it is put together.
MODEL = "by-hand"
SPOKEN = "我们今天讨论一下明年的预算和人员安排请大家先看看这张表格里面有三个问题需要说明第一是成本第二是时间第三质量"
MIX = ["GPU", "Paraformer", "API", "Kubernetes", "two", "tokens"]
PER_PART = 500


def sentence(tokens: Sequence[str], start_ms: int, *, word_ms: int = 220, channel: int = 0, low: int = -1) -> Sentence:
    """Words of equal length and a full stop; the word at index `low` has low confidence."""
    words = tuple(
        Word(text, start_ms + word_ms * n, start_ms + word_ms * (n + 1), 0.31 if n == low else 0.97)
        for n, text in enumerate(tokens)
    )
    text = ""
    for item in tokens:
        text += (" " if text and item.isascii() and text[-1].isascii() else "") + item
    return Sentence(text + "。", start_ms, words[-1].end_ms, 0.95, words, channel)


def spoken(count: int, seed: int, *, channels: int = 1, every_ms: int = 2250) -> list[Sentence]:
    """Consecutive sentences of about ten words."""
    chance = random.Random(seed)
    sentences = []
    for number in range(count):
        size = chance.randint(5, 15) if number % 40 else 60
        words = [chance.choice(MIX) if chance.random() < 0.05 else chance.choice(SPOKEN) for _ in range(size)]
        low = chance.randrange(size) if chance.random() < 0.3 else -1
        word_ms = min(220, (every_ms - 100) // size)
        said_at = sentence(words, 200 + number * every_ms, word_ms=word_ms, channel=number % channels, low=low)
        sentences.append(said_at)
    return sentences


def put(settings: Settings, sentences: list[Sentence], audio: Path | None = None, **more: Any) -> Job:
    """A completed transcription with these sentences, its recording beside it where there is one."""
    database = Database(settings.sqlalchemy_url, 2)
    try:
        content = audio.read_bytes() if audio else b"none"
        queued = uploaded(database, make_storage(settings), content, model=MODEL, **more)
        held = claimed(database, queued)
        end_ms = sentences[-1].end_ms if sentences else 5_000
        parts = [sentences[start : start + PER_PART] for start in range(0, len(sentences), PER_PART)] or [[]]
        for number, some in enumerate(parts):
            part = Part(number, 0, end_ms, tuple(some), b"x", last=number == len(parts) - 1)
            if not part.last:
                jobs.commit_part(database, held, part, first_sentence=number * PER_PART)
        channels = max((item.channel for item in sentences), default=0) + 1
        done = Finished("demo-zh", "r1", "fp32", channels, end_ms, end_ms // 40, no_speech=not sentences)
        jobs.complete(database, held, part, done, first_sentence=(len(parts) - 1) * PER_PART, stage_ms={})
        if audio is None:
            execute(database, "UPDATE jobs SET audio_key = NULL, audio_deleted_at = now() WHERE id = :id", id=queued.id)
        return jobs.get(database, queued.id)
    finally:
        database.close()
