"""Which errors are tried again, and when."""

from __future__ import annotations

import pytest

from common.errors import (
    AudioEmpty,
    DecodeStalled,
    Internal,
    OutOfMemory,
    ParaqueueError,
    SourceNotFound,
    SourceUnreachable,
    StorageFull,
    StorageUnavailable,
    Unavailable,
    all_errors,
)
from worker.transcription.retry import RetryPolicy

POLICY = RetryPolicy(max_attempts=5, base_seconds=5, longest_seconds=30, max_outage_attempts=2000)


def test_the_pause_doubles_up_to_its_limit() -> None:
    pauses = [POLICY.pause(SourceUnreachable(""), failures, jitter=1.0) for failures in range(4)]
    assert pauses == [5, 10, 20, 30]


def test_jitter_moves_the_pause_within_its_upper_half() -> None:
    assert POLICY.pause(OutOfMemory(""), 1, jitter=0.0) == 5
    assert POLICY.pause(OutOfMemory(""), 1, jitter=0.5) == 7.5
    assert POLICY.pause(OutOfMemory(""), 1, jitter=1.0) == 10


def test_the_last_attempt_is_final() -> None:
    assert POLICY.pause(SourceUnreachable(""), 3, jitter=0) is not None
    assert POLICY.pause(SourceUnreachable(""), 4, jitter=0) is None
    assert POLICY.pause(SourceUnreachable(""), 400, jitter=0) is None
    assert RetryPolicy(1, 5, 30, 1).pause(SourceUnreachable(""), 0, jitter=0) is None


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.code)
def test_only_what_may_pass_is_tried_again(kind: type[ParaqueueError]) -> None:
    assert (POLICY.pause(kind("why"), 0, jitter=0.5) is not None) == kind.retryable


def test_bad_audio_and_dead_links_are_final_but_our_own_defects_are_not() -> None:
    assert POLICY.pause(AudioEmpty(""), 0, jitter=0) is None
    assert POLICY.pause(SourceNotFound(""), 0, jitter=0) is None
    assert POLICY.pause(Internal(""), 0, jitter=0) is not None


@pytest.mark.parametrize(
    "kind", [DecodeStalled, StorageFull, StorageUnavailable, Unavailable], ids=lambda kind: kind.code
)
def test_an_outage_of_ours_does_not_use_up_a_jobs_attempts(kind: type[ParaqueueError]) -> None:
    assert POLICY.pause(kind("why"), 4, 1998, jitter=1.0) == 30
    assert POLICY.pause(kind("why"), 0, 1999, jitter=1.0) is None
    assert POLICY.pause(SourceUnreachable(""), 0, 1998, jitter=1.0) == 5
