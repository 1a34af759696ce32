"""Whether an installation is sound: all checks at once, each with a time limit, so that nothing can hang it."""

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
from common.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class Result:
    """A check that was made, or that did not come to an end in its time."""

    name: str
    level: Level
    message: str
    hint: str | None
    took_ms: int


CHECKS = servers.CHECKS | machine.CHECKS


def names() -> list[str]:
    """All checks, in the order in which they are told."""
    return ["settings", *CHECKS]


def examine(chosen: Sequence[str], *, timeout_seconds: float, deep: bool = False) -> list[Result]:
    """Make these checks side by side; returns when all have ended, or the time is over."""
    began = time.monotonic()
    try:
        settings = load_settings()
    except ParaqueueError as error:
        hint = "docs/configuration.md names every setting; nothing else could be checked"
        return [Result("settings", Level.FAIL, error.message, hint, _since(began))]
    found: dict[str, Result] = {"settings": Result("settings", Level.OK, _told(settings), None, _since(began))}
    checks = {name: check for name, check in CHECKS.items() if name in chosen}
    threads = [
        threading.Thread(target=_make, args=(name, check, settings, deep, found), daemon=True)
        for name, check in checks.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + timeout_seconds - time.monotonic()))
    for name, check in checks.items():
        late = Result(name, Level.FAIL, f"no answer within {timeout_seconds:g} s", check.hint, _since(began))
        found.setdefault(name, late)
    return [found[name] for name in chosen]


def end(status: int) -> None:
    """End the process, also where a check still hangs in a library that waits for a server."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _make(name: str, check: Check, settings: Settings, deep: bool, found: dict[str, Result]) -> None:
    began = time.monotonic()
    try:
        seen = check.look(settings, deep=deep)
    except ParaqueueError as error:
        seen = Found(Level.FAIL, error.message, check.hint)
    except Exception as error:  # whatever a library raises is what is wrong
        seen = Found(Level.FAIL, f"{type(error).__name__}: {error}".splitlines()[0], check.hint)
    found.setdefault(name, Result(name, seen.level, seen.message, seen.hint, _since(began)))


def _told(settings: Settings) -> str:
    return f"{len(settings.model_fields_set)} set, the others as docs/configuration.md says"


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
