"""The console's pure modules, tested where they run: in JavaScript."""

from __future__ import annotations

from tests.js import HERE, node


def test_pure_modules() -> None:
    run = node("--test", "--test-reporter=tap", "console.test.mjs")
    output, complaints = run.communicate(timeout=120)
    assert run.returncode == 0, output + complaints
    assert "# fail 0" in output, output
    tests = (HERE / "console.test.mjs").read_text().count("\ntest(")
    assert f"# pass {tests}\n" in output, output
