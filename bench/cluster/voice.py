"""How a child process of the benchmark speaks to it: JSON lines on standard output, logs on standard error."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any


def own_voice() -> Callable[[Any], None]:
    """Return a function that says a line; from now on whatever else writes to standard output goes to the log."""
    voice = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(what: Any) -> None:
        print(json.dumps(what), file=voice, flush=True)

    return say
