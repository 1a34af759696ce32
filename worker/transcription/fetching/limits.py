"""What the download of a link may take: size, time, and time per byte."""

from __future__ import annotations

import time
from dataclasses import dataclass

from common.errors import SourceRateTooLow
from common.links import STANDARD_PORTS, Ports

MAX_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Limits for fetching one link; `max_bytes` counts its content, without the compression of the transfer."""

    max_bytes: int
    timeout_seconds: float
    stall_seconds: float
    resumes: int
    allowed_private: tuple[str, ...]
    ports: Ports = STANDARD_PORTS
    max_redirects: int = MAX_REDIRECTS
    min_bytes_per_second: int = 0
    min_rate_seconds: float = 60.0


class RateFloor:
    """Ends a download whose average rate over a stretch of time is too low, however regularly it sends something."""

    def __init__(self, limits: FetchLimits) -> None:
        self._floor = limits.min_bytes_per_second
        self._seconds = limits.min_rate_seconds
        self._began = time.monotonic()
        self._received = 0

    def check(self, received: int = 0) -> None:
        """Count what was received; raises SourceRateTooLow at the end of a stretch that was too slow."""
        self._received += received
        took = time.monotonic() - self._began
        if took < self._seconds:
            return
        rate = self._received / took
        if rate < self._floor:
            raise SourceRateTooLow(
                f"the link sent {rate:.0f} bytes per second over {took:.0f} s; at least {self._floor} are required"
            )
        self._began, self._received = time.monotonic(), 0
