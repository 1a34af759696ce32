"""Questions before something is lost."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def confirm(question: str, yes: bool) -> None:
    """Ask at a terminal, and end the command on a no. Scripts, which have no terminal, are not asked."""
    if not yes and at_terminal():
        typer.confirm(question, abort=True, err=True)


def at_terminal() -> bool:
    """Return whether somebody can answer."""
    return sys.stdin.isatty()
