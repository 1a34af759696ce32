"""Dispatching in a background thread of a process."""

from __future__ import annotations

from collections.abc import Callable

from common import webhooks
from common.background import Background
from common.db import Database
from common.errors import Unavailable
from common.jobs.scheduling.dispatch import Publish, dispatch
from common.telemetry import get_logger

log = get_logger(__name__)
# One dispatch serves all submissions of this period; the first one after a pause is dispatched at once.
PAUSE_SECONDS = 0.05
RETRY_SECONDS = 1.0


class Dispatcher(Background):
    """A background thread that calls `dispatch` when woken; multiple wake-ups are merged into one call."""

    def __init__(
        self,
        database: Database,
        publish: Publish,
        *,
        redispatch_seconds: float,
        tenant_max_running: int = 0,
        wake_deliverers: Callable[[], None] | None = None,
    ) -> None:
        """Create the thread; `wake_deliverers` is called when webhooks are due, which otherwise wait for the sweep."""
        super().__init__("dispatcher", pause_seconds=PAUSE_SECONDS)
        self._database = database
        self._publish = publish
        self._redispatch_seconds = redispatch_seconds
        self._tenant_max_running = tenant_max_running
        self._wake_deliverers = wake_deliverers
        self._postponed = False

    def work(self) -> None:
        """Run one dispatch."""
        try:
            sent = dispatch(
                self._database,
                self._publish,
                redispatch_seconds=self._redispatch_seconds,
                tenant_max_running=self._tenant_max_running,
            )
            if self._wake_deliverers is not None and webhooks.any_due(self._database):
                self._wake_deliverers()
        except Unavailable as error:
            if not self._postponed:
                log.warning("dispatch_postponed", reason=error.message)
            self._postponed = True
            self.wake_later(RETRY_SECONDS)
        else:
            self._postponed = False
            if sent:
                log.debug("dispatched", jobs=sent)
