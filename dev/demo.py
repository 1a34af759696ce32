"""The sample job: submit audio over HTTP like a client, follow the job, and evaluate the transcript."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jiwer

from dev.process import StackError, pause

MAX_CER = 0.05
POLL_SECONDS = 0.3
_TERMINAL = {"completed", "failed", "canceled"}
Job = dict[str, Any]
Show = Callable[[Job], None]


@dataclass(frozen=True)
class Sentence:
    """One timed sentence of a transcript or a reference."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Outcome:
    """The result of a job; `processing_seconds` is the processing time that the service reports, without queueing."""

    id: str
    sentences: list[Sentence]
    audio_ms: int
    processing_seconds: float

    @property
    def rtf(self) -> float:
        """Processing time divided by audio time."""
        return self.processing_seconds / max(self.audio_ms / 1000, 0.001)


def transcribe(url: str, key: str, audio: Path, show: Show, check: Callable[[], None]) -> Outcome:
    """Submit `audio` to the API at `url`, with an API key, and wait for the transcript.

    `show` receives the job after each poll; `check` is called between polls and may raise. Raises StackError with the
    response of the service if the job does not complete.
    """
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=20, trust_env=False) as client:
        with audio.open("rb") as file:
            answer = client.post("/v1/transcriptions", files={"file": (audio.name, file)})
        job: Job = _content(answer, 202)
        while job["status"] not in _TERMINAL:
            check()
            pause(POLL_SECONDS)
            job = _content(client.get(f"/v1/transcriptions/{job['id']}"), 200)
            show(job)
        if job["status"] != "completed":
            error = job.get("error") or {}
            raise StackError(f"the sample job {job['status']}: {error.get('code')}: {error.get('message')}")
        path = f"/v1/transcriptions/{job['id']}/transcript"
        transcript = _content(client.get(path, params={"format": "json"}), 200)
    seconds = job["result"]["processing_ms"] / 1000
    return Outcome(job["id"], _sentences(transcript), job["audio_ms"], seconds)


def reference_of(audio: Path) -> list[Sentence] | None:
    """Return the reference transcript of `audio` from the JSON file of the same name beside it; None without one."""
    path = audio.with_suffix(".json")
    return _sentences(json.loads(path.read_text())) if path.exists() else None


def character_error_rate(reference: list[Sentence], recognised: list[Sentence]) -> float:
    """Return the edit distance divided by the length of the reference, ignoring punctuation, spaces and case."""
    expected, hypothesis = (_bare("".join(item.text for item in sentences)) for sentences in (reference, recognised))
    return float(jiwer.cer(expected, hypothesis))


def problems(outcome: Outcome, reference: list[Sentence] | None) -> list[str]:
    """List the problems of a transcript, one line each; empty for a good one."""
    sentences = outcome.sentences
    problems = [] if sentences else ["the transcript is empty"]
    starts = [sentence.start_ms for sentence in sentences]
    if starts != sorted(starts) or any(sentence.end_ms < sentence.start_ms for sentence in sentences):
        problems.append("times go backwards")
    if any(sentence.start_ms < 0 or sentence.end_ms > outcome.audio_ms for sentence in sentences):
        problems.append("times lie outside the audio")
    if reference is not None:
        rate = character_error_rate(reference, sentences)
        if rate > MAX_CER:
            problems.append(f"the character error rate is {rate:.1%}, more than {MAX_CER:.0%}")
        missing = sum(not any(_overlap(spoken, sentence) for sentence in sentences) for spoken in reference)
        if missing:
            problems.append(f"{missing} of {len(reference)} sentences are missing")
    return problems


def _content(answer: httpx.Response, expected: int) -> dict[str, Any]:
    if answer.status_code != expected:
        raise StackError(
            f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {answer.text[:300]}"
        )
    content: dict[str, Any] = answer.json()
    return content


def _sentences(document: dict[str, Any]) -> list[Sentence]:
    return [Sentence(item["text"], item["start_ms"], item["end_ms"]) for item in document["sentences"]]


def _bare(text: str) -> str:
    kept = (character for character in text if unicodedata.category(character)[0] in "LN")
    return unicodedata.normalize("NFKC", "".join(kept)).lower()


def _overlap(one: Sentence, other: Sentence) -> bool:
    return one.start_ms < other.end_ms and other.start_ms < one.end_ms
