"""In the place of the decoder: one that a file keeps busy without end."""

from __future__ import annotations

import os
from typing import Any


def main(order: dict[str, Any]) -> None:
    """Write a first message, and compute."""
    assert order["form"] == "pcm"
    os.write(1, b"H" + (2).to_bytes(4, "little") + b"{}")
    while True:
        pass
