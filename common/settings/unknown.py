"""Variables that look like settings but are none, probably because of a typing error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from common.settings.settings import Settings

PREFIX = "PARAQUEUE_"
OTHER_PROGRAMS = frozenset({"PARAQUEUE_API_KEY", "PARAQUEUE_CONFIG", "PARAQUEUE_DATA", "PARAQUEUE_URL"})
"""Variables of the client (`paraqueue.config`) and of the local stack (`dev.operate`), which processes may inherit."""
LEAST_SIMILARITY = 0.7


@dataclass(frozen=True, slots=True)
class UnknownSetting:
    """A variable that no process reads, and the setting with the most similar name, if one is similar."""

    variable: str
    nearest: str | None


def unknown_settings(environment: Mapping[str, str]) -> list[UnknownSetting]:
    """Return the variables that have the prefix of settings but name none, sorted; like settings, in any case."""
    known = {name.upper() for name in Settings.model_fields}
    names = {name: name.upper() for name in environment if name.upper().startswith(PREFIX)}
    return [
        UnknownSetting(name, _nearest(upper.removeprefix(PREFIX), known))
        for name, upper in sorted(names.items())
        if upper not in OTHER_PROGRAMS and upper.removeprefix(PREFIX) not in known
    ]


def _nearest(name: str, known: set[str]) -> str | None:
    close = get_close_matches(name, sorted(known), n=1, cutoff=LEAST_SIMILARITY)
    return f"{PREFIX}{close[0]}" if close else None
