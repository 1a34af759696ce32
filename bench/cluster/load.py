"""The load of a cluster: how many workers, how long their jobs take, and how much comes out of them."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass

from common.transcript.values import Part, Sentence, Word

MODEL = "demo-zh"
PART_MS = 300_000
# Frequent characters, so that the search index gets keys of realistic variety.
CHARACTERS = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
)


@dataclass(frozen=True, slots=True)
class Load:
    """One round: the size of the cluster and of its jobs.

    A job takes `job_seconds` give or take a half, and commits `parts` of `sentences` each. Jobs arrive at random at
    `busy` times the rate at which all slots could run them.
    """

    workers: int = 1000
    slots: int = 2
    tenants: int = 50
    processes: int = 2
    threads: int = 8
    job_seconds: float = 20.0
    parts: int = 2
    sentences: int = 90
    words: int = 15
    busy: float = 0.8
    renew_seconds: float = 1.0
    lease_seconds: float = 30.0
    max_jobs: int | None = None

    @property
    def jobs_per_second(self) -> float:
        """The rate at which jobs arrive."""
        return self.workers * self.slots * self.busy / self.job_seconds

    @property
    def audio_ms(self) -> int:
        """The length of the recording that each job stands for."""
        return self.parts * PART_MS

    def to_json(self) -> str:
        """For a child process, which reads it with `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Load:
        """Read the output of `to_json`."""
        return cls(**json.loads(line))


def spoken(load: Load, number: int, random_: random.Random) -> Part:
    """Return the part of a job with this number, with sentences of random characters."""
    start = number * PART_MS
    step = PART_MS // max(1, load.sentences)
    sentences = []
    for place in range(load.sentences):
        begins = start + place * step
        text = "".join(random_.choices(CHARACTERS, k=load.words))
        words = tuple(
            Word(letter, begins + step * i // load.words, begins + step * (i + 1) // load.words, 0.987)
            for i, letter in enumerate(text)
        )
        sentences.append(Sentence(f"{text}。", begins, begins + step, 0.987, words))
    last = number == load.parts - 1
    return Part(number, start, start + PART_MS, tuple(sentences), b"" if last else bytes(40_000), last=last)
