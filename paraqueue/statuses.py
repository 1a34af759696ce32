"""The states of a transcription."""

from __future__ import annotations

from typing import Literal

Status = Literal["queued", "processing", "completed", "failed", "canceled"]
Stage = Literal["fetching", "transcribing", "finishing"]
COMPLETED: Status = "completed"
FAILED: Status = "failed"
CANCELED: Status = "canceled"
TERMINAL: frozenset[Status] = frozenset({COMPLETED, FAILED, CANCELED})
