"""Commands that correct sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from paraqueue.cli import exits, show
from paraqueue.cli.account import Json
from paraqueue.cli.confirming import Yes, confirm
from paraqueue.cli.transcripts import Id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paraqueue.models import Corrected, Correction, NumberedSentence, Revision

# Corrections of one call.
MOST = 5_000
Number = Annotated[int, typer.Argument(help="The number of the sentence, from 0.", metavar="NUMBER", min=0)]


def correct(
    id: Id,
    number: Number,
    text: Annotated[str | None, typer.Argument(help="What was really said.", metavar="TEXT")] = None,
    restore: Annotated[bool, typer.Option("--restore", help="Go back to the recognised text.")] = False,
    json: Json = False,
) -> None:
    """Correct a sentence.

    `paraqueue sentences` lists their numbers.
    """
    if (text is None) is not restore:
        raise typer.BadParameter("give either the new text or --restore", param_hint="TEXT")
    with exits.connected() as client:
        changed = client.correct(id, number, text)
        show.as_json(changed) if json else print(changed.text)


def replace(
    id: Id,
    find: Annotated[str, typer.Argument(help="The text to find.", metavar="FIND")],
    replacement: Annotated[str, typer.Argument(help="What to put in its place.", metavar="REPLACEMENT")],
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="Find large and small letters.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the new sentences, and change nothing.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Replace a text in all sentences of a transcription, and show those that changed.

    Up to 5,000 sentences are changed all or, after an error, none.
    """
    if not find:
        raise typer.BadParameter("is empty", param_hint="FIND")
    with exits.connected() as client:
        planned = client.replacements(id, find, replacement, ignore_case=ignore_case)
        shown: list[Correction] | list[Corrected] = list(planned)
        if planned and not dry_run:
            confirm(f"Change {len(planned)} sentences?", yes)
            chunks = [planned[start : start + MOST] for start in range(0, len(planned), MOST)]
            shown = [item for chunk in chunks for item in client.correct_many(id, chunk)]
        _print(shown, json=json)


def split(
    id: Id,
    number: Number,
    word: Annotated[int, typer.Argument(help="The word that begins the new sentence, from 0.", metavar="WORD", min=1)],
    json: Json = False,
) -> None:
    """Split a sentence before a word, and show both sentences."""
    with exits.connected() as client:
        _print(client.split_sentence(id, number, at_word=word), json=json)


def merge(
    id: Id,
    number: Number,
    json: Json = False,
) -> None:
    """Merge a sentence with the one after it."""
    with exits.connected() as client:
        merged = client.merge_sentences(id, number)
        show.as_json(merged) if json else print(merged.text)


def confirm_words(
    id: Id,
    number: Number,
    words: Annotated[list[int], typer.Argument(help="Places of words in it, from 0.", metavar="WORD…", min=0)],
    json: Json = False,
) -> None:
    """Mark recognised words as checked: their confidence is then 1."""
    with exits.connected() as client:
        known = client.sentence(id, number)
        checked = [place for place, word in enumerate(known.words) if word.confirmed]
        revision = known.edit.revision if known.edit else 0
        changed = client.confirm(id, number, sorted({*checked, *words}), revision=revision)
        show.as_json(changed) if json else print(changed.text)


def history(
    id: Id,
    number: Number,
    json: Json = False,
) -> None:
    """List the changes of a sentence, newest first."""
    with exits.connected() as client:
        found = client.history(id, number)
        if json:
            show.as_json(found)
        else:
            show.table(("revision", "at", "by", "text", "before"), map(_revision, found))


def _print(sentences: Sequence[Corrected | Correction | NumberedSentence], *, json: bool) -> None:
    if json:
        show.as_json(sentences)
    else:
        show.table(("number", "text"), ({"number": item.number, "text": item.text} for item in sentences))


def _revision(item: Revision) -> dict[str, Any]:
    by = item.edited_by_name or item.edited_by
    return {
        "revision": item.revision,
        "at": (show.moment(item.edited_at), item.edited_at.isoformat()),
        "by": by,
        "text": item.text,
        "before": item.text_before,
    }
