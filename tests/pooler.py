"""A stand-in for PgBouncer: it drops startup options, and may serve all clients from one session. No TLS."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

# Requests for TLS and for GSSAPI, which come before the startup message.
ENCRYPTION = {80877103, 80877104}
TERMINATE = b"X\0\0\0\x04"
AUTHENTICATED = b"R\0\0\0\x08\0\0\0\0"
READY = b"Z\0\0\0\x05I"


class Pooler:
    """Forwards clients to a PostgreSQL at `address`; if `shared`, all to one session, which one may use at a time."""

    def __init__(self, address: tuple[str, int], *, shared: bool) -> None:
        self._address = address
        self._shared = shared
        self._session: socket.socket | None = None
        self._greeting = b""
        self._client: socket.socket
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Accept no more clients and end the shared session."""
        self._listener.close()
        if self._session is not None:
            self._session.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._client_of, args=(client,), daemon=True).start()

    def _client_of(self, client: socket.socket) -> None:
        startup = _startup(client)
        server = self._session
        if server is None:
            server = socket.create_connection(self._address)
            self._session = server if self._shared else None
            self._client = client
            server.sendall(startup)
            threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
        else:
            client.sendall(self._greeting)
        try:
            while (data := client.recv(65536)) and data != TERMINATE:
                self._client = client
                server.sendall(data)
        except OSError:
            pass
        finally:
            client.close()
            if not self._shared:
                server.close()

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        greeting = b""
        try:
            while data := server.recv(65536):
                if not self._greeting:
                    greeting += data
                    if greeting.endswith(READY):
                        self._greeting = greeting[greeting.index(AUTHENTICATED) :]
                (self._client if self._shared else client).sendall(data)
        except OSError:
            return


def _startup(client: socket.socket) -> bytes:
    """The startup message of a client, without its options."""
    while True:
        (size,) = struct.unpack("!i", _exactly(client, 4))
        body = _exactly(client, size - 4)
        if struct.unpack("!i", body[:4])[0] not in ENCRYPTION:
            break
        client.sendall(b"N")
    texts = body[4:].split(b"\0")
    kept = [(key, value) for key, value in zip(texts[::2], texts[1::2], strict=False) if key and key != b"options"]
    body = body[:4] + b"".join(key + b"\0" + value + b"\0" for key, value in kept) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def _exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            raise OSError("the client is gone")
        data += more
    return data


@contextmanager
def pooled(url: str, *, shared: bool) -> Iterator[str]:
    """The URL of a pooler before the PostgreSQL at `url`."""
    parts = urlsplit(url)
    pooler = Pooler((parts.hostname or "127.0.0.1", parts.port or 5432), shared=shared)
    credentials = parts.netloc.rpartition("@")[0]
    try:
        yield urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{pooler.port}"))
    finally:
        pooler.close()
