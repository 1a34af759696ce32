"""Options of `submit` that change the text."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Itn = Annotated[bool, typer.Option("--itn", help="Numbers, dates and amounts in digits.")]
NoFillers = Annotated[bool, typer.Option("--remove-fillers", help="Leave out hesitation and stuttered words.")]
Masks = Annotated[list[str] | None, typer.Option("--mask", help="A word to replace by asterisks; repeatable.")]
Hotwords = Annotated[
    list[str] | None,
    typer.Option("--hotword", help="A name or term: word, word:weight (1 to 10) or 'wrong=>right'; repeatable."),
]
Traditional = Annotated[bool, typer.Option("--traditional", help="Traditional Chinese characters.")]


def text_options(
    itn: bool, remove_fillers: bool, mask: list[str] | None, traditional: bool, hotword: list[str] | None = None
) -> dict[str, Any]:
    """Return the options for the API; what was not asked for is left to the service."""
    return {
        "itn": itn or None,
        "remove_fillers": remove_fillers or None,
        "masked_words": mask,
        "hotwords": hotword,
        "script": "traditional" if traditional else None,
    }
