"""The package and its help load nothing that takes long. Which modules, not how long: that depends on the machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dev.stack import REPOSITORY

SLOW = ("httpx", "httpx_sse", "pydantic", "rich", "markdown_it", "pygments", "asyncio", "standardwebhooks")
NOT_FOR_HELP = (*SLOW, "paraqueue.client", "platformdirs")
HELP = """\
import sys
from paraqueue.cli.app import main
sys.argv = ["paraqueue", {0}]
try:
    main()
except SystemExit as ended:
    assert ended.code == 0, ended
"""


def loaded(code: str, slow: tuple[str, ...] = SLOW) -> list[str]:
    """Those of the slow modules that a program has loaded."""
    code += f"\nimport json, sys; print(json.dumps([name for name in {slow} if name in sys.modules]), file=sys.stderr)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stderr.splitlines()[-1]))


def test_importing_the_clients_loads_nothing_slow() -> None:
    assert loaded("import paraqueue") == []
    assert loaded("from paraqueue import AsyncClient, Client, ParaqueueError, Status") == []
    assert "httpx" in loaded("from paraqueue import Client; Client('http://127.0.0.1:9')")


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help_loads_nothing_slow(argument: str) -> None:
    assert loaded(HELP.replace("{0}", repr(argument)), NOT_FOR_HELP) == []


@pytest.mark.parametrize("arguments", [("list", "-h"), ("submit", "--help"), ("batch", "-h")])
def test_help_of_a_command_loads_only_what_typer_does(arguments: tuple[str, ...]) -> None:
    """It parses the arguments of commands with pydantic."""
    assert set(loaded(HELP.replace("{0}", ", ".join(map(repr, arguments))))) <= {"pydantic"}


def test_all_that_is_promised_can_be_imported() -> None:
    assert "pydantic" in loaded("import paraqueue; [getattr(paraqueue, name) for name in paraqueue.__all__]")
