"""Which form of a transcript a request wants."""

from __future__ import annotations

from common.errors import NotAcceptable
from common.formats import MEDIA_TYPES, Format

BY_MEDIA_TYPE = {media.partition(";")[0]: form for form, media in MEDIA_TYPES.items()} | {
    "application/*": Format.JSON,
    "text/*": Format.TXT,
    "*/*": Format.JSON,
}


def chosen_format(asked: str | None, accept: str | None) -> Format:
    """`format=` wins over `Accept`; without either it is JSON. Raises NotAcceptable."""
    if asked is not None:
        return Format(asked)
    for media in _by_preference(accept or "*/*"):
        if media in BY_MEDIA_TYPE:
            return BY_MEDIA_TYPE[media]
    known = ", ".join(media for media in BY_MEDIA_TYPE if "*" not in media)
    raise NotAcceptable(f"a transcript can be had as {known}")


def _by_preference(accept: str) -> list[str]:
    """Media types by falling q; equal ones in the order they stand."""
    weighed: list[tuple[float, str]] = []
    for item in accept.split(","):
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        if media and weight > 0:
            weighed.append((weight, media))
    return [media for _, media in sorted(weighed, key=lambda pair: -pair[0])]
