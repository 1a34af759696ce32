"""Where links and webhooks may lead."""

from common.links.rules import (
    HTTP_SCHEMES,
    OBJECT_SCHEMES,
    STANDARD_PORTS,
    Ports,
    audio_link,
    checked_addresses,
    checked_bucket,
    checked_link,
    checked_redirect,
    checked_url,
)

__all__ = [
    "HTTP_SCHEMES",
    "OBJECT_SCHEMES",
    "STANDARD_PORTS",
    "Ports",
    "audio_link",
    "checked_addresses",
    "checked_bucket",
    "checked_link",
    "checked_redirect",
    "checked_url",
]
