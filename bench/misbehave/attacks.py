"""The kinds of misbehaviour. Each runs until it is canceled; all of them use one key."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from bench.misbehave.wire import Connection, Refused, form, head, request

FORM = "multipart/form-data; boundary=bench"
SUBMIT = "/v1/transcriptions"
NOISE_BYTES = 16 * 1024 * 1024
PIECE_BYTES = 256 * 1024
JSON_LIMIT_BYTES = 512 * 1024


@dataclass
class Attack:
    """Whom it is aimed at, by whom, and what it was answered.

    `theirs` is the port of the tenant's own server, `transcript` one of its finished jobs, `noise` bytes that are no
    recording.
    """

    port: int
    key: str
    theirs: int
    transcript: str
    noise: bytes
    answers: Counter[str] = field(default_factory=Counter)

    def link(self, path: str) -> str:
        """The link to a path of the tenant's own server."""
        return f"http://127.0.0.1:{self.theirs}/{path}"

    def submission(self, path: str, **more: object) -> bytes:
        """A request that submits one link."""
        return request("POST", SUBMIT, self.key, json.dumps({"audio_url": self.link(path), **more}).encode())

    async def paced(
        self,
        name: str,
        pieces: Callable[[int], tuple[bytes, ...]],
        *,
        rate: float,
        connections: int,
        most: int | None = None,
    ) -> None:
        """Send at most `most` requests at `rate` per second over so many connections, and count the answers."""
        loop = asyncio.get_running_loop()
        began, numbers = loop.time(), itertools.count() if most is None else iter(range(most))

        async def one() -> None:
            connection = Connection(self.port)
            for number in numbers:
                await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
                try:
                    status, _ = await connection.ask(*pieces(number))
                except (Refused, OSError) as error:
                    status = type(error).__name__  # type: ignore[assignment]
                self.answers[f"{name} {status}"] += 1

        await asyncio.gather(*(one() for _ in range(connections)))


async def drips(attack: Attack) -> None:
    """120 connections with heads and bodies that come a byte a second, or that do not read; 20 links like that."""
    body = head("POST", SUBMIT, attack.key, 100_000, FORM) + form(b"", "a.wav")[1][:60]
    read = request("GET", f"{SUBMIT}/{attack.transcript}/transcript", attack.key)
    starts = [b"POST /v1/transcriptions HTTP/1.1\r\nX-Slow: "] * 50 + [body] * 50 + [read] * 20
    links = attack.paced("link", lambda _: (attack.submission("drip"),), rate=20, connections=2, most=20)
    await asyncio.gather(links, _kept_open(attack, starts, read))


async def _kept_open(attack: Attack, starts: list[bytes], read: bytes) -> None:
    """Keep a connection open for each start, and send a byte a second on all that do not only read."""
    opened: dict[int, asyncio.StreamWriter] = {}
    while True:
        for number, start in enumerate(starts):
            if number not in opened or opened[number].is_closing():
                opened[number] = await _opened(attack.port, start, small=start is read)
                attack.answers["connections opened"] += 1
            elif start is not read:
                opened[number].write(b"a")
        await asyncio.sleep(1)


async def _opened(port: int, first: bytes, *, small: bool) -> asyncio.StreamWriter:
    endpoint = socket.socket()
    if small:
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    endpoint.setblocking(False)
    await asyncio.get_running_loop().sock_connect(endpoint, ("127.0.0.1", port))
    # The low limit of the buffer stops reading, so that the response waits in the server.
    _, writer = await asyncio.open_connection(sock=endpoint, limit=1024)
    writer.write(first)
    return writer


async def floods(attack: Attack) -> None:
    """300 calls a second of all kinds, three times as many as the limit, and 40 calls that wait for a job."""
    me = f"{SUBMIT}/{attack.transcript}"
    lists = [f"{SUBMIT}?limit=100", "/v1/usage?group_by=day", "/v1/models", "/v1/nothing"]
    paths = [me, me, me, *lists, me, me, me]
    calls = [request("GET", path, attack.key) for path in paths]
    _, answer = await Connection(attack.port).ask(attack.submission("drip"))
    waiting = request("GET", f"{SUBMIT}/{json.loads(answer).get('id', attack.transcript)}?wait=30", attack.key)
    await asyncio.gather(
        attack.paced("wait", lambda _: (waiting,), rate=40, connections=40),
        attack.paced("call", lambda number: (calls[number % len(calls)],), rate=300, connections=64),
    )


async def bodies(attack: Attack) -> None:
    """Files of 16 MiB that are no recordings, two a second; JSON that is too large, or has 40,000 unknown fields."""
    kind, whole = form(attack.noise, "noise.mp3")
    first = head("POST", SUBMIT, attack.key, len(whole), kind)
    upload = (first, *(whole[at : at + PIECE_BYTES] for at in range(0, len(whole), PIECE_BYTES)))
    announced = head("POST", SUBMIT, attack.key, 80_000_000, "application/json") + b"[" * 1000
    fields = json.dumps({f"{number:x}": 1 for number in range(40_000)}).encode()[: JSON_LIMIT_BYTES - 1]
    wide = request("POST", SUBMIT, attack.key, fields)
    await asyncio.gather(
        attack.paced("file", lambda _: upload, rate=2, connections=4),
        attack.paced("announced", lambda _: (announced,), rate=20, connections=4),
        attack.paced("fields", lambda _: (wide,), rate=4, connections=4),
    )


async def receivers(attack: Attack) -> None:
    """Ten jobs a second that fail at once, each with a webhook to a receiver that hangs or does not exist."""
    hooks = [attack.link("hang"), "http://127.0.0.1:9/"]
    jobs = [attack.submission("gone", webhook_url=hook) for hook in hooks]
    await attack.paced("job", lambda number: (jobs[number % 2],), rate=10, connections=4)


async def queue(attack: Attack) -> None:
    """10,000 jobs, 1,000 a second, each with a recording that is there to be transcribed."""
    links = json.dumps({"audio_urls": [attack.link("clip.wav")] * 100}).encode()
    batch = request("POST", "/v1/batches", attack.key, links)
    await attack.paced("batch of 100", lambda _: (batch,), rate=10, connections=4, most=100)


async def searches(attack: Attack) -> None:
    """Thirty searches a second for one letter that is in every sentence."""
    letters = [request("GET", f"{SUBMIT}/search?limit=100&q={letter}", attack.key) for letter in ("%E7%9A%84", "1")]
    await attack.paced("search", lambda number: (letters[number % 2],), rate=30, connections=8)


KINDS: dict[str, Callable[[Attack], Coroutine[None, None, None]]] = {
    "drips": drips,
    "floods": floods,
    "bodies": bodies,
    "receivers": receivers,
    "queue": queue,
    "searches": searches,
}
