"""Commands for vocabularies, and the option that chooses one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paraqueue.cli import exits, files, show
from paraqueue.cli.account import Json
from paraqueue.cli.confirming import Yes, confirm
from paraqueue.cli.listing import PAGE, After, Limit, collected, id_of, tell_more
from paraqueue.cli.texts import Masks

if TYPE_CHECKING:
    from paraqueue import Client
    from paraqueue.models import Vocabulary

app = typer.Typer(no_args_is_help=True, help="Vocabularies: names and terms that many transcriptions share.")
PREFIX = "voc_"
Which = Annotated[str, typer.Argument(help="The name or id of a vocabulary.", metavar="VOCABULARY")]
Words = Annotated[
    list[str] | None, typer.Argument(help="word, word:weight (1 to 10) or 'wrong=>right'.", metavar="WORD…")
]
FromFile = Annotated[
    str | None, typer.Option("--file", "-f", help="More words, one per line; - is standard input.", metavar="FILE")
]
VocabularyOption = Annotated[
    str | None, typer.Option("--vocabulary", help="Names and terms of this vocabulary, by its name or id.")
]


def vocabulary_options(client: Client, value: str | None) -> dict[str, Any]:
    """The options behind `--vocabulary NAME`. Raises ConfigurationError if there is none of this name."""
    return {} if value is None else {"vocabulary_id": _id_of(client, value)}


def _id_of(client: Client, name: str) -> str:
    missing = f"there is no vocabulary named {name!r}; see `paraqueue vocabularies list`"
    return id_of(name, PREFIX, lambda after: client.vocabularies(after=after, limit=PAGE), missing=missing)


@app.command("list")
def list_(limit: Limit = 20, after: After = None, json: Json = False) -> None:
    """List vocabularies, newest first."""
    with exits.connected() as client:
        found, after = collected(lambda at, size: client.vocabularies(after=at, limit=size), after, limit, PAGE)
        if json:
            show.as_json(found)
        else:
            show.table(("name", "hotwords", "masked", "changed", "id"), map(_row, found))
        tell_more(after)


def _row(vocabulary: Vocabulary) -> dict[str, Any]:
    return {
        "name": vocabulary.name,
        "hotwords": vocabulary.hotword_count,
        "masked": vocabulary.masked_word_count,
        "changed": (show.moment(vocabulary.updated_at), vocabulary.updated_at.isoformat()),
        "id": vocabulary.id,
    }


@app.command("show")
def show_(vocabulary: Which, json: Json = False) -> None:
    """Print the hotwords, one per line; with --json the masked words too."""
    with exits.connected() as client:
        found = client.vocabulary(_id_of(client, vocabulary))
        if json:
            show.as_json(found)
            return
        for word in found.hotwords:
            print(word)
        if found.masked_words:
            exits.errors().print(f"paraqueue: masked: {', '.join(found.masked_words)}")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name that says what the words are for.")],
    words: Words = None,
    file: FromFile = None,
    mask: Masks = None,
    json: Json = False,
) -> None:
    """Create a vocabulary, and print its id."""
    with exits.connected() as client:
        made = client.create_vocabulary(name, hotwords=[*(words or ()), *_more(file)], masked_words=mask or ())
        show.as_json(made) if json else print(made.id)


@app.command()
def add(vocabulary: Which, words: Words = None, file: FromFile = None, mask: Masks = None, json: Json = False) -> None:
    """Add words; a word that is there with another weight gets the new one."""
    with exits.connected() as client:
        new = [*(words or ()), *_more(file)]
        found = client.vocabulary(_id_of(client, vocabulary))
        kept = _without(found.hotwords, new)
        _replace(client, found, [*kept, *new], [*found.masked_words, *(mask or ())], json=json)


@app.command()
def remove(
    vocabulary: Which, words: Words = None, file: FromFile = None, mask: Masks = None, json: Json = False
) -> None:
    """Remove words, whatever their weights; --mask: words that shall no longer be masked."""
    with exits.connected() as client:
        old = [*(words or ()), *_more(file)]
        found = client.vocabulary(_id_of(client, vocabulary))
        masked = [word for word in found.masked_words if word not in (mask or ())]
        _replace(client, found, _without(found.hotwords, old), masked, json=json)


@app.command()
def rename(vocabulary: Which, name: Annotated[str, typer.Argument(help="The new name.")], json: Json = False) -> None:
    """Rename a vocabulary."""
    with exits.connected() as client:
        changed = client.update_vocabulary(_id_of(client, vocabulary), name=name)
        show.as_json(changed) if json else print(changed.name)


@app.command()
def delete(vocabulary: Which, yes: Yes = False) -> None:
    """Delete a vocabulary; transcriptions that were submitted with it keep its words."""
    confirm(f"Delete the vocabulary {vocabulary}?", yes)
    with exits.connected() as client:
        client.delete_vocabulary(_id_of(client, vocabulary))
        print(f"{vocabulary} deleted")


def _replace(client: Client, found: Vocabulary, words: list[str], masked: list[str], *, json: bool) -> None:
    """Replace the words, unless somebody else has changed them since."""
    changed = client.update_vocabulary(found.id, hotwords=words, masked_words=masked, revision=found.revision)
    if json:
        show.as_json(changed)
    else:
        print(f"{changed.name}: {changed.hotword_count} hotwords, {changed.masked_word_count} masked words")


def _without(words: Sequence[str], others: Iterable[str]) -> list[str]:
    plain = {_without_weight(word) for word in others}
    return [word for word in words if _without_weight(word) not in plain]


def _without_weight(entry: str) -> str:
    word, colon, weight = entry.rpartition(":")
    return word.strip() if colon and weight.strip().isdecimal() and "=>" not in entry else entry.strip()


def _more(file: str | None) -> list[str]:
    return [] if file is None else files.lines(file)
