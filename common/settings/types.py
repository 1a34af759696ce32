"""The types of settings, including lists, which are comma-separated in one variable."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, SecretStr
from pydantic_settings import NoDecode

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE
FERNET_KEY_BYTES = 32
TOKEN_SECRET_BYTES = 32
METRICS_TOKEN_LENGTH = 16
API_KEY_PREFIX = "pq_live_"
API_KEY = re.compile(API_KEY_PREFIX + r"[A-Za-z0-9_-]{43,200}")
# Standard Webhooks 1.0
SIGNING_SECRET_BYTES = range(24, 65)


class SettingsGroup(BaseModel):
    """A group of settings. `Settings` has all groups; a class that needs only one receives that group."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _items(value: object) -> list[Any]:
    """Return the items of a comma-separated string, or of a tuple or list."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return list(value) if isinstance(value, Iterable) else [value]


def _each(convert: Callable[[Any], Any]) -> Callable[[object], tuple[Any, ...]]:
    return lambda value: tuple(convert(item) for item in _items(value))


def _secrets(value: object) -> tuple[SecretStr, ...]:
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value or ()
    return tuple(item if isinstance(item, SecretStr) else SecretStr(item) for item in _items(plain))


def _host(item: str) -> str:
    if "/" in item:
        ipaddress.ip_network(item)
    return item.lower()


def _network_name(item: str) -> str:
    ipaddress.ip_network(item)
    return item


def _port_range(item: str | range) -> range:
    """Parse a port, or a range of ports that includes both ends."""
    if isinstance(item, range):
        return item
    first, dash, last = item.partition("-")
    ports = range(int(first), int(last if dash else first) + 1)
    if not 0 < ports.start < ports.stop <= 65536:
        raise ValueError("a port is a number from 1 to 65535")
    return ports


def _port_ranges(value: object) -> tuple[range, ...]:
    ranges = tuple(_port_range(item) for item in _items(value))
    if not ranges:
        raise ValueError("names no port")
    return ranges


Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Limit = Annotated[int, Field(ge=0)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
HostList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_each(_host))]
NetworkNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_each(_network_name))]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_each(lambda item: item))]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_each(ipaddress.ip_network))]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_each(lambda item: item.rstrip("/")))]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_secrets)]
PortRanges = Annotated[tuple[range, ...], NoDecode, PlainValidator(_port_ranges)]


def is_loopback(host: str) -> bool:
    """Return whether a listen address can be reached only from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def revealed(secrets: Iterable[SecretStr]) -> tuple[str, ...]:
    """Return the values of secrets, which stay wrapped until they are used, to stay out of logs."""
    return tuple(secret.get_secret_value() for secret in secrets)


def decoded(text: str) -> bytes:
    """Decode base64; empty if the text is invalid, since an error must not contain the text itself."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def written(value: object) -> str:
    """Return a value in the form that its variable has."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, range):
        return str(value.start) if len(value) == 1 else f"{value.start}-{value.stop - 1}"
    return ",".join(written(item) for item in value) if isinstance(value, tuple) else str(value)
