"""Commands for the speakers of a transcription, and the option that asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from paraqueue.cli import exits, show
from paraqueue.cli.account import Json
from paraqueue.cli.transcripts import Id

if TYPE_CHECKING:
    from paraqueue.models import Speaker

app = typer.Typer(no_args_is_help=True, help="Speakers of a transcription: list, name, merge, assign.")
SpeakersOption = Annotated[
    str | None,
    typer.Option(help="Tell who said what: auto, the number of speakers, or a range like 2-5.", metavar="N"),
]
NoKnownVoices = Annotated[
    bool, typer.Option("--no-known-voices", help="Keep no voice prints, and name no speaker as a known voice.")
]
Number = Annotated[int, typer.Argument(help="The number of a speaker, from 1.", metavar="SPEAKER")]


def speaker_options(value: str | None, no_known_voices: bool) -> dict[str, Any]:
    """The options behind `--speakers auto`, `--speakers 3` and `--speakers 2-5`, and `--no-known-voices`."""
    return _number_options(value) | ({"known_voices": False} if no_known_voices else {})


def _number_options(value: str | None) -> dict[str, Any]:
    if value is None:
        return {}
    if value == "auto":
        return {"speakers": True}
    least, dash, most = value.partition("-")
    if not all(number.isdecimal() for number in ((least, most) if dash else (least,))):
        raise typer.BadParameter(f"{value!r} is neither auto, nor a number, nor a range like 2-5")
    if not dash:
        return {"speakers": int(least)}
    return {"speakers": True, "min_speakers": int(least), "max_speakers": int(most)}


@app.command("list")
def list_(id: Id, json: Json = False) -> None:
    """List the speakers with the time that each speaks."""
    with exits.connected() as client:
        _print(client.speakers(id), json=json)


@app.command()
def name(
    id: Id,
    speaker: Number,
    name: Annotated[str | None, typer.Argument(help="Leave it out to remove the name.")] = None,
    json: Json = False,
) -> None:
    """Name a speaker; transcripts in all formats use the name."""
    with exits.connected() as client:
        _print(client.name_speaker(id, speaker, name), json=json)


@app.command()
def merge(
    id: Id,
    speaker: Number,
    into: Annotated[int, typer.Argument(help="The speaker that gets all sentences.", metavar="INTO")],
    json: Json = False,
) -> None:
    """Make one speaker out of two, if one person was taken for two."""
    with exits.connected() as client:
        _print(client.merge_speakers(id, speaker, into), json=json)


@app.command()
def assign(
    id: Id,
    sentence: Annotated[int, typer.Argument(help="The number of a sentence, from 0.", metavar="SENTENCE")],
    speaker: Number,
    json: Json = False,
) -> None:
    """Give a sentence to another speaker."""
    with exits.connected() as client:
        changed = client.assign_sentence(id, sentence, speaker)
        show.as_json(changed) if json else print(f"{changed.speaker}: {changed.text}")


def _print(speakers: tuple[Speaker, ...], *, json: bool) -> None:
    if json:
        show.as_json(speakers)
        return
    rows = [
        {
            "speaker": item.number,
            "name": item.name,
            "named by": item.name_source,
            "speaks": show.duration(item.speech_ms),
            "share": f"{item.share:.0%}",
        }
        for item in speakers
    ]
    show.table(("speaker", "name", "named by", "speaks", "share"), rows)
