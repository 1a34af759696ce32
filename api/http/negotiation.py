"""Content negotiation: which format of a transcript a request wants."""

from __future__ import annotations

from fnmatch import fnmatch
from math import isnan

from starlette.datastructures import Headers

from common.errors import NotAcceptable
from common.transcript.formats import MEDIA_TYPES, Format

BY_MEDIA_TYPE = {media.partition(";")[0]: form for form, media in MEDIA_TYPES.items()} | {
    "application/*": Format.JSON,
    "text/*": Format.TXT,
    "*/*": Format.JSON,
}
# For clients that know no audio types and no archives, such as some generated ones.
OCTETS = "application/octet-stream"


def octets_wanted(headers: Headers) -> bool:
    """Return whether `Accept` names plain bytes, and so wants them as such."""
    return any(media == OCTETS and weight > 0 for weight, media in _weighed(headers.get("accept", "")))


def chosen_format(parameter: str | None, accept: str | None) -> Format:
    """Return the format of `format=` or else of `Accept`, JSON by default. Raises NotAcceptable."""
    if parameter is not None:
        return Format(parameter)
    weighed = _weighed(accept or "*/*")
    refused = {media for weight, media in weighed if not weight > 0}
    for weight, media in sorted(weighed, key=lambda pair: -pair[0]):
        if weight > 0 and (form := _first(media, refused)):
            return form
    known = ", ".join(media for media in BY_MEDIA_TYPE if "*" not in media)
    raise NotAcceptable(f"transcripts are available as {known}")


def _first(media: str, refused: set[str]) -> Format | None:
    """Return the format for a media type or range, excluding formats that are explicitly refused."""
    usual = BY_MEDIA_TYPE.get(media)
    if usual is None or "*" not in media:
        return usual
    others = [form for name, form in BY_MEDIA_TYPE.items() if "*" not in name and fnmatch(name, media)]
    allowed = [form for form in (usual, *others) if MEDIA_TYPES[form].partition(";")[0] not in refused]
    return allowed[0] if allowed else None


def _weighed(accept: str) -> list[tuple[float, str]]:
    """Return media types with their q values, in the order given; a q that is not a number counts as 0."""
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
        weighed.append((0.0 if isnan(weight) else weight, media))
    return weighed
