"""Options of every command that submits."""

from __future__ import annotations

from typing import Annotated, Any

import typer

ModelOption = Annotated[str | None, typer.Option(help="Another model than the service's own.")]
LanguageOption = Annotated[
    str | None, typer.Option(help="Language of the recording, such as zh; refused if the model does not know it.")
]
PriorityOption = Annotated[int | None, typer.Option(min=0, max=9, help="9 runs first.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", "-t", help="Repeatable.")]
Dedupe = Annotated[
    bool, typer.Option("--dedupe", help="Reuse an earlier transcript of the same audio with the same options.")
]


def job_options(
    model: str | None, language: str | None, priority: int | None, tags: list[str] | None, dedupe: bool
) -> dict[str, Any]:
    """Return the options for the API; what was not asked for is left to the service."""
    return {"model": model, "language": language, "priority": priority, "tags": tags, "dedupe": dedupe or None}
