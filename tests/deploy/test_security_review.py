"""The tests that the security review names exist."""

from __future__ import annotations

import re

from dev.stack import REPOSITORY

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_named_test_exists() -> None:
    text = (REPOSITORY / "docs" / "security-review.md").read_text("utf-8")
    named = NAMED.findall(text)
    assert len(named) == text.count("`tests/") - 1, "a name is not written as path::test"
    sources = {path: (REPOSITORY / path).read_text("utf-8") for path, _ in named}
    missing = [f"{path}::{test}" for path, test in named if not re.search(rf"^ *def {test}\(", sources[path], re.M)]
    assert not missing


def test_every_attack_has_a_test() -> None:
    text = (REPOSITORY / "docs" / "security-review.md").read_text("utf-8")
    attacks = [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| attack"))
    ]
    assert len(attacks) > 25
    assert not [line for line in attacks if not NAMED.search(line)]
