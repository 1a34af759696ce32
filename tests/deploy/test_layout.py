"""The folders of the tests contain what their names promise."""

from __future__ import annotations

import subprocess
import sys

from dev.stack import REPOSITORY

COLLECT = """
import sys, pytest
code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "tests/unit"])
print("loaded:", *sorted({"torch", "funasr"} & set(sys.modules)))
sys.exit(code)
"""


def test_unit_tests_load_no_torch() -> None:
    """tests/unit/conftest.py checks what they do at run time."""
    ran = subprocess.run([sys.executable, "-c", COLLECT], cwd=REPOSITORY, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.splitlines()[-1].strip() == "loaded:", ran.stdout.splitlines()[-1]
