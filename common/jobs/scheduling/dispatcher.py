"""Dispatching in a background thread of a process."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from common import summaries, webhooks
from common.background import Background
from common.db import Database
from common.errors import Unavailable
from common.jobs.scheduling.dispatch import Publish, dispatch
from common.jobs.scheduling.queue_queries import models_with_links
from common.settings import Settings
from common.telemetry import get_logger

if TYPE_CHECKING:
    from common.queue import Publisher

log = get_logger(__name__)
# One dispatch serves all submissions of this period; the first one after a pause is dispatched at once.
PAUSE_SECONDS = 0.05
RETRY_SECONDS = 1.0
# A message costs a worker 10 ms of processor time, and it checks for links every second in any case.
FETCHERS_PAUSE_SECONDS = 0.5


class Dispatcher(Background):
    """A background thread that calls `dispatch` when woken; multiple wake-ups are merged into one call."""

    def __init__(
        self,
        database: Database,
        publish: Publish,
        *,
        redispatch_seconds: float,
        tenant_max_running: int = 0,
        tenant_slot_share: float = 1.0,
        wake_deliverers: Callable[[], None] | None = None,
        wake_summarizers: Callable[[], None] | None = None,
        wake_fetchers: Callable[[str], None] | None = None,
    ) -> None:
        """Create the thread.

        `wake_deliverers` is called when webhooks are due, and `wake_summarizers` when summaries have become due, which
        otherwise wait for the sweep; `wake_fetchers` with each model for which links wait, which workers otherwise find
        within a second.
        """
        super().__init__("dispatcher", pause_seconds=PAUSE_SECONDS)
        self._database = database
        self._publish = publish
        self._redispatch_seconds = redispatch_seconds
        self._tenant_max_running = tenant_max_running
        self._tenant_slot_share = tenant_slot_share
        self._wake_deliverers = wake_deliverers
        self._wake_summarizers = wake_summarizers
        self._wake_fetchers = wake_fetchers
        self._fetchers_woken_at: dict[str, float] = {}
        self._to_wake: set[str] = set()
        self._postponed = False
        self._to_dispatch = threading.Event()
        self._to_dispatch.set()  # the first piece of work is a dispatch

    @classmethod
    def of(
        cls,
        settings: Settings,
        database: Database,
        publisher: Publisher,
        *,
        wake_fetchers: Callable[[str], None] | None = None,
    ) -> Dispatcher:
        """A dispatcher with the limits of the settings, which also wakes the light workers."""
        return cls(
            database,
            publisher,
            redispatch_seconds=settings.redispatch_seconds,
            tenant_max_running=settings.tenant_max_running,
            tenant_slot_share=settings.tenant_slot_share,
            wake_deliverers=publisher.wake_deliverers,
            wake_summarizers=publisher.wake_summarizers,
            wake_fetchers=wake_fetchers,
        )

    def wake(self) -> None:
        """Request a dispatch soon; never blocks, never fails."""
        self._to_dispatch.set()
        super().wake()

    def wake_for_light_work(self) -> None:
        """Request that light workers be woken soon, if webhooks or summaries are due, without a dispatch."""
        super().wake()

    def work(self) -> None:
        """Run one dispatch, unless there is only work for light workers."""
        sent = 0
        try:
            if self._to_dispatch.is_set():
                self._to_dispatch.clear()
                sent = self._dispatch()
            if self._wake_fetchers is not None:
                self._wake_those_due(self._wake_fetchers)
            if self._wake_deliverers is not None and webhooks.any_due(self._database):
                self._wake_deliverers()
            if self._wake_summarizers is not None and summaries.any_new(self._database):
                self._wake_summarizers()
        except Unavailable as error:
            if not self._postponed:
                log.warning("dispatch_postponed", reason=error.message)
            self._postponed = True
            self._to_dispatch.set()
            self.wake_later(RETRY_SECONDS)
        else:
            self._postponed = False
            if sent:
                log.debug("dispatched", jobs=sent)

    def _dispatch(self) -> int:
        sent = dispatch(
            self._database,
            self._publish,
            redispatch_seconds=self._redispatch_seconds,
            tenant_max_running=self._tenant_max_running,
            tenant_slot_share=self._tenant_slot_share,
        )
        if self._wake_fetchers is not None:
            self._to_wake.update(models_with_links(self._database))
        return sent

    def _wake_those_due(self, wake: Callable[[str], None]) -> None:
        """Wake the fetchers of each model, but at most once per pause; those woken too recently, when it is over."""
        early: list[float] = []
        for model in sorted(self._to_wake):
            now = time.monotonic()
            due_in = self._fetchers_woken_at.get(model, -math.inf) + FETCHERS_PAUSE_SECONDS - now
            if due_in > 0:
                early.append(due_in)
                continue
            wake(model)
            self._fetchers_woken_at[model] = now
            self._to_wake.discard(model)
        if early:
            self.work_within(min(early))
