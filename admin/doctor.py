"""Check that an installation is healthy: all checks run in parallel, each with a time limit so that none can hang."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from admin import machine, servers
from admin.checks import Check, Found, Level
from common.errors import ParaqueueError
from common.settings import Settings, load_settings, unknown_settings


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a check that ran, or of one that exceeded its time limit."""

    name: str
    level: Level
    message: str
    hint: str | None
    took_ms: int


CHECKS = servers.CHECKS | machine.CHECKS


def names() -> list[str]:
    """Return the names of all checks, in the order in which they are reported."""
    return ["settings", *CHECKS]


def examine(chosen: Sequence[str], *, timeout_seconds: float, deep: bool = False) -> list[Result]:
    """Run these checks in parallel; return when all have finished or the time limit is reached."""
    began = time.monotonic()
    try:
        settings = load_settings()
    except ParaqueueError as error:
        hint = "docs/configuration.md names every setting; nothing else could be checked"
        return [Result("settings", Level.FAIL, error.message, hint, _since(began))]
    read = _read(settings)
    results = {"settings": Result("settings", read.level, read.message, read.hint, _since(began))}
    checks = {name: check for name, check in CHECKS.items() if name in chosen}
    threads = [
        threading.Thread(target=_make, args=(name, check, settings, deep, results), daemon=True)
        for name, check in checks.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + timeout_seconds - time.monotonic()))
    for name, check in checks.items():
        late = Result(name, Level.FAIL, f"no answer within {timeout_seconds:g} s", check.hint, _since(began))
        results.setdefault(name, late)
    return [results[name] for name in chosen]


def end(status: int) -> None:
    """Exit the process, even if a check still hangs in a library that waits for a server."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _make(name: str, check: Check, settings: Settings, deep: bool, results: dict[str, Result]) -> None:
    began = time.monotonic()
    try:
        seen = check.look(settings, deep=deep)
    except ParaqueueError as error:
        seen = Found(Level.FAIL, error.message, check.hint)
    except Exception as error:  # whatever a library raises is the problem to report
        seen = Found(Level.FAIL, f"{type(error).__name__}: {error}".splitlines()[0], check.hint)
    results.setdefault(name, Result(name, seen.level, seen.message, seen.hint, _since(began)))


def _read(settings: Settings) -> Found:
    unknown = unknown_settings(os.environ)
    if unknown:
        hint = "docs/configuration.md names every setting"
        nearest = sorted({item.nearest for item in unknown if item.nearest})
        if nearest:
            hint = f"did you mean {', '.join(nearest)}? {hint}"
        return Found(Level.WARN, f"not a setting: {', '.join(item.variable for item in unknown)}", hint)
    return Found(Level.OK, f"{len(settings.model_fields_set)} set, the others as docs/configuration.md says")


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
