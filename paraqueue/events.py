"""Follows a transcription by server-sent events, reconnecting after broken connections."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paraqueue.errors import ApiError, NotFound
from paraqueue.exchange import LONGEST_PAUSE_SECONDS

if TYPE_CHECKING:
    from httpx_sse import ServerSentEvent

    from paraqueue.models import Sentence

# Limit on consecutive broken connections without an event in between.
BREAKS = 5
SILENCE_SECONDS = 60.0
"""The service says something every 15 seconds."""


@dataclass
class Follower:
    """The position of one follower: which sentences it has received, and whether more can follow."""

    last_event_id: str = ""
    ended: bool = False
    breaks: int = 0
    pause_seconds: float = field(default=2.0)
    speakers: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The request headers of the next connection."""
        resumed = {"Last-Event-ID": self.last_event_id} if self.last_event_id else {}
        return {"Accept": "text/event-stream", **resumed}

    def take(self, event: ServerSentEvent) -> tuple[Sentence, ...]:
        """The sentences in an event. Raises NotFound or ApiError if they were deleted before all of them were sent."""
        self.breaks = 0
        if event.id:
            self.last_event_id = event.id
        if event.retry is not None:
            self.pause_seconds = min(event.retry / 1000, LONGEST_PAUSE_SECONDS)
        if event.event == "end":
            self.ended = True
            _check_kept(json.loads(event.data)["status"])
        if event.event == "transcription":
            self.speakers = bool(json.loads(event.data).get("speakers"))
        if event.event != "sentences" or (self.speakers and not event.id.endswith(".s")):
            return ()  # sentences that do not have their speakers yet come again at the end
        from paraqueue.models import Sentence

        payload: dict[str, Any] = json.loads(event.data)
        return tuple(Sentence.model_validate(item) for item in payload["sentences"])

    def broken(self) -> bool:
        """Count a broken connection and return whether to reconnect."""
        self.breaks += 1
        return self.breaks <= BREAKS


def _check_kept(status: str) -> None:
    if status == "deleted":
        raise NotFound(404, "not_found", "the transcription was deleted", retryable=False, request_id=None)
    if status == "expired":
        message = "the transcript was deleted at the end of its retention period"
        raise ApiError(410, "expired", message, retryable=False, request_id=None)
