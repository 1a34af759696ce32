"""The console's pure modules, tested where they run: in JavaScript."""

from __future__ import annotations

from tests.js import node


def test_pure_modules() -> None:
    run = node("--test", "--test-reporter=tap", "console.test.mjs")
    output, complaints = run.communicate(timeout=120)
    assert run.returncode == 0, output + complaints
    assert "# fail 0" in output, output
    assert "# pass 8" in output, output
