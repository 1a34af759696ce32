"""Whether a link may be fetched, and a webhook sent: every rule about where clients may lead the service.

When a request arrives, the API checks how its links are written, and refuses receivers of webhooks that no worker would
connect to. When a worker fetches or sends, it checks addresses, ports, redirects and buckets; `worker.net.ssrf`
connects only to addresses that were checked here. `common.links.addresses` knows which addresses are public.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from common.errors import SourceNotAllowed, SourceUnreachable
from common.links.addresses import Address, is_public
from common.settings import Settings
from common.settings.sources import ObjectStoreSettings
from common.storage import same_bucket

if TYPE_CHECKING:
    import httpx

HTTP_SCHEMES = frozenset({"http", "https"})
OBJECT_SCHEMES = frozenset({"s3", "oss"})
Ports = tuple[range, ...]
STANDARD_PORTS: Ports = (range(80, 81), range(443, 444))


def checked_link(value: str, schemes: Collection[str]) -> str:
    """Return the URL. Raises ValueError, with a message for the client, if it has no host or contains credentials."""
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("contains whitespace or control characters; percent-encode them")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with one of {', '.join(sorted(f'{name}://' for name in schemes))}")
    if not parts.hostname or port == 0:
        raise ValueError("has no host or bucket")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or password")
    return value


def audio_link(value: str) -> str:
    """Return a link to audio. Raises ValueError, with a message for the client, if it cannot be fetched from."""
    checked_link(value, HTTP_SCHEMES | OBJECT_SCHEMES)
    parts = urlsplit(value)
    if parts.scheme in OBJECT_SCHEMES and not parts.path.strip("/"):
        raise ValueError("has no object key: use bucket/key")
    return parts.scheme + value[len(parts.scheme) :]  # in lower case, as all later code expects


def checked_url(url: httpx.URL) -> httpx.URL:
    """Return the URL. Raises SourceNotAllowed if it has a user name or password, which would end up in logs."""
    if url.userinfo:
        raise SourceNotAllowed("the link contains a user name or password")
    if url.port == 0:  # httpcore would treat it as "no port given"
        raise SourceNotAllowed("there is no port 0")
    return url


def checked_redirect(url: httpx.URL, target: httpx.URL) -> httpx.URL:
    """Return where `url` redirects to. Raises SourceNotAllowed if that is not http(s), or not encrypted any more."""
    if target.scheme not in HTTP_SCHEMES or not target.host:
        raise SourceNotAllowed("the link redirects to a URL that is not http or https")
    if url.scheme == "https" and target.scheme == "http":
        raise SourceNotAllowed("the link redirects from https to http")
    return checked_url(target)


def checked_addresses(host: str, port: int, allowed_private: Iterable[str], ports: Ports = STANDARD_PORTS) -> list[str]:
    """The addresses of a host, if connections to all of them are allowed on that port.

    `allowed_private` lists hosts, `host:port`, addresses and networks; these may be private and may be reached on
    any port, or on the listed port only. Everything else must be public, and the port must be among `ports`.
    Raises SourceUnreachable if the name has no address, SourceNotAllowed if one of them is not allowed.
    """
    if not 0 < port < 65536:  # the resolver would take it modulo 65536
        raise SourceNotAllowed(f"there is no port {port}")
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceUnreachable(f"the host {host!r} cannot be resolved") from error
    names = tuple(allowed_private)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if _allowed(host, port, address, names):
            continue
        if not is_public(address):
            raise SourceNotAllowed(f"the host {host!r} resolves to a private address")
        if not any(port in some for some in ports):
            raise SourceNotAllowed(f"links to port {port} are not allowed (PARAQUEUE_FETCH_PORTS)")
    return addresses


def _allowed(host: str, port: int, address: Address, names: tuple[str, ...]) -> bool:
    for name in names:
        if "/" not in name:
            if name in {host.lower(), f"{host.lower()}:{port}"}:
                return True
        elif address in ipaddress.ip_network(name):
            return True
    return False


def checked_bucket(settings: Settings, scheme: str, bucket: str) -> ObjectStoreSettings:
    """Return the store of an `s3` or `oss` link. Raises SourceNotAllowed for a bucket not on the list, or our own.

    A link never opens anything with the storage's own key or with what boto3 finds around it: without credentials of
    their own there are no links to objects.
    """
    store = settings.s3_source if scheme == "s3" else settings.oss_source
    setting = f"PARAQUEUE_{'SOURCE_S3' if scheme == 's3' else 'OSS'}"
    if scheme == "oss" and not store.endpoint_url:
        raise SourceNotAllowed(f"this installation has no OSS endpoint ({setting}_ENDPOINT_URL)")
    if not store.access_key_id:
        raise SourceNotAllowed(f"this installation has no credentials for {scheme}:// links")
    if not any(fnmatchcase(bucket, name) for name in store.buckets):
        raise SourceNotAllowed(f"the bucket {bucket!r} may not be read by links ({setting}_BUCKETS)")
    if _is_storage(settings, store.endpoint_url, bucket):
        raise SourceNotAllowed("the link refers to the storage of this installation")
    return store


def _is_storage(settings: Settings, endpoint: str | None, bucket: str) -> bool:
    """Whether a bucket is the installation's own, whatever form its endpoint is written in."""
    if not settings.storage_url.startswith("s3://"):
        return False
    ours = settings.storage_url.removeprefix("s3://").partition("/")[0]
    names = {settings.s3_endpoint_url, settings.s3_public_endpoint_url or settings.s3_endpoint_url}
    return any(same_bucket((endpoint, bucket), (name, ours)) for name in names)
