"""Names that the service uses: states of a transcription, and ways to divide speech."""

from __future__ import annotations

from typing import Literal

Status = Literal["queued", "processing", "completed", "failed", "canceled"]
Stage = Literal["fetching", "transcribing", "finishing"]
Segmentation = Literal["fixed", "dynamic", "meeting", "call", "lecture"]
COMPLETED: Status = "completed"
FAILED: Status = "failed"
CANCELED: Status = "canceled"
TERMINAL: frozenset[Status] = frozenset({COMPLETED, FAILED, CANCELED})
