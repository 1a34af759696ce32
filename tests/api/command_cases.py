"""The `paraqueue` command in this process, for tests of what it makes of the API's responses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner, Result

from paraqueue.cli.app import app
from paraqueue.config import FILE_VARIABLE, KEY_VARIABLE, PROFILE_VARIABLE, URL_VARIABLE
from tests.servers import ADMIN_KEY

Run = Callable[..., Result]


def runner(url: str, place: Path) -> Run:
    """A function that runs the command against a service; changes of its environment are keyword arguments."""
    environment: dict[str, str | None] = {
        URL_VARIABLE: url,
        KEY_VARIABLE: ADMIN_KEY,
        FILE_VARIABLE: str(place / "config.toml"),
        PROFILE_VARIABLE: None,
        "XDG_STATE_HOME": str(place),
    }

    def run(*arguments: str, input: str | None = None, **changes: str) -> Result:
        return CliRunner().invoke(app, list(arguments), input=input, env={**environment, **changes})

    return run


def fields(result: Result) -> list[list[str]]:
    """The output of a list that a program reads."""
    assert result.exit_code == 0, result.output
    return [line.split("\t") for line in result.stdout.splitlines()]
