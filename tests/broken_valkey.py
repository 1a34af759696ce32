"""The ways in which a Valkey that answers can refuse writes. For tests on servers of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.waiting import until


@dataclass(frozen=True)
class Refusal:
    """A reason to refuse writes, and how it begins and ends; `pattern` is found in the error that clients see."""

    name: str
    pattern: str
    begin: Callable[[Any], object]
    end: Callable[[Any], object]

    @contextmanager
    def on(self, client: redis.Redis) -> Iterator[None]:
        """Refuse writes within the block, and accept them again after it."""
        try:
            self.begin(client)
            yield
        finally:
            self.end(client)


def _call(*command: str) -> Callable[[Any], object]:
    return lambda client: client.execute_command(*command)


def _dump(client: Any) -> Path:
    return Path(client.config_get("dir")["dir"], client.config_get("dbfilename")["dbfilename"])


def _break_snapshots(client: Any) -> None:
    """Make a snapshot fail, as on a full disk: a directory with content has the file's name."""
    (_dump(client) / "in the way").mkdir(parents=True)
    client.config_set("save", "3600 1")  # without a schedule, Valkey takes writes whatever happened to its snapshots
    client.bgsave()
    until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", what=lambda: "a failed snapshot")


def _mend_snapshots(client: Any) -> None:
    client.config_set("save", "")
    dump = _dump(client)
    (dump / "in the way").rmdir()
    dump.rmdir()


REFUSALS = (
    Refusal("READONLY", "read only replica", _call("REPLICAOF", "127.0.0.1", "1"), _call("REPLICAOF", "NO", "ONE")),
    Refusal("OOM", "maxmemory", _call("CONFIG", "SET", "maxmemory", "1"), _call("CONFIG", "SET", "maxmemory", "0")),
    Refusal(
        "NOREPLICAS",
        "NOREPLICAS",
        _call("CONFIG", "SET", "min-replicas-to-write", "1"),
        _call("CONFIG", "SET", "min-replicas-to-write", "0"),
    ),
    Refusal("MISCONF", "MISCONF", _break_snapshots, _mend_snapshots),
)
