"""Serialises resume states, and checks which engine may continue from one.

A state is a dict of numbers, strings, lists and numpy arrays. It is stored with the identity of the engine that
created it, and read only by an engine with the same identity.
"""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.options.segmentation import Segmentation
from common.transcript.values import Sentence, Word, tags_of

STATE_VERSION = 5
"""Goes up with every change to what a state holds or means. Version 1 had its identity checked in two places."""

_MAGIC = b"PQRS"
_ARRAY = "@array"


class StaleState(Exception):
    """A resume state that this engine cannot continue from; the run must start again."""


@dataclass(frozen=True)
class StateIdentity:
    """What must match so that a resumed run produces the same text as an uninterrupted one.

    `hotwords` is the digest of those that the recogniser was given, or "": not stored, as before there were any.
    """

    revision: str
    precision: str
    max_segment_ms: int | None
    segmentation: Segmentation
    hotwords: str = ""
    version: int = STATE_VERSION

    def pack(self, state: dict[str, Any]) -> bytes:
        """Serialise a state with this identity."""
        arrays, described = _split_arrays(state)
        text = json.dumps({"identity": self._described(), "state": described}, ensure_ascii=False)
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, described=np.frombuffer(text.encode(), np.uint8), **arrays)
        content = file.getvalue()
        return _MAGIC + zlib.crc32(content).to_bytes(4, "big") + content

    def unpack(self, packed: bytes) -> dict[str, Any]:
        """The inverse of `pack`. Raises StaleState for a state of another identity or invalid bytes."""
        content = packed[8:]
        # The checksum comes first: archive and array parsers may raise almost any exception for corrupt bytes.
        if packed[:8] != _MAGIC + zlib.crc32(content).to_bytes(4, "big"):
            raise StaleState("The resume state cannot be read.")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        described = json.loads(arrays.pop("described").tobytes())
        stored = described["identity"]
        if stored != self._described():
            raise StaleState(f"The resume state was made by {stored}, this engine is {self._described()}.")
        state: dict[str, Any] = _join_arrays(described["state"], arrays)
        return state

    def _described(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value != ""}


def sentence_of(fields: dict[str, Any]) -> Sentence:
    """The sentence whose fields a state holds."""
    words = tuple(Word(**word) for word in fields["words"])
    return Sentence(**(fields | {"words": words, "tags": tags_of(fields["tags"])}))


def _split_arrays(value: Any) -> tuple[dict[str, NDArray[Any]], Any]:
    """Nested dicts and lists → their numpy arrays by name, and the rest with names in place of the arrays."""
    arrays: dict[str, NDArray[Any]] = {}

    def walk(part: Any) -> Any:
        if isinstance(part, np.ndarray):
            name = f"array{len(arrays)}"
            arrays[name] = part
            return {_ARRAY: name}
        if isinstance(part, dict):
            return {key: walk(item) for key, item in part.items()}
        if isinstance(part, (list, tuple)):
            return [walk(item) for item in part]
        return part.item() if isinstance(part, np.generic) else part

    return arrays, walk(value)


def _join_arrays(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """The inverse of `_split_arrays`."""
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: _join_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_join_arrays(item, arrays) for item in value]
    return value
