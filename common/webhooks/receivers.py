"""Refuses receivers of webhooks that no delivery would reach, by the rule of the workers that send to them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from common.errors import InvalidRequest, SourceNotAllowed, SourceUnreachable
from common.links import Ports, checked_addresses

LOOK_UP_SECONDS = 2.0
REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 1000
LOOK_UPS_AT_ONCE = 8
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Receivers:
    """Checks URLs of receivers; one instance serves all threads.

    A host whose name cannot be resolved now, or not soon, is accepted: each delivery checks it again.
    """

    allowed_private: tuple[str, ...]
    ports: Ports
    _accepted: dict[tuple[str, int], float] = field(default_factory=dict)
    _room: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(LOOK_UPS_AT_ONCE))

    def check(self, url: str, name: str = "url") -> None:
        """Raise InvalidRequest if the host is private or the port is not allowed; `name`: the field with the URL."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        if time.monotonic() < self._accepted.get((host, port), 0.0):
            return
        refusal = self._refusal(host, port)
        if refusal is not None:
            raise InvalidRequest(f"`{name}` is refused: {refusal}")
        if len(self._accepted) >= MOST_REMEMBERED:
            self._accepted.clear()
        self._accepted[host, port] = time.monotonic() + REMEMBERED_SECONDS

    def _refusal(self, host: str, port: int) -> str | None:
        """Return why the workers would not connect to a URL. The system's resolver has no configurable time limit."""
        if not self._room.acquire(blocking=False):
            return None
        refusals: list[str] = []

        def look_up() -> None:
            try:
                checked_addresses(host, port, self.allowed_private, self.ports)
            except SourceNotAllowed as error:
                refusals.append(error.message)
            except SourceUnreachable:
                return
            finally:
                self._room.release()

        thread = threading.Thread(target=look_up, name="receiver-look-up", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process has as many threads as it may
            self._room.release()
            return None
        thread.join(LOOK_UP_SECONDS)
        return refusals[0] if refusals else None
