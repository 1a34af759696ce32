"""Commands for known voices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from paraqueue.cli import exits, show
from paraqueue.cli.account import Json
from paraqueue.cli.confirming import Yes, confirm
from paraqueue.cli.listing import PAGE, After, Limit, collected, id_of, tell_more
from paraqueue.cli.speakers import Number
from paraqueue.cli.transcripts import Id

if TYPE_CHECKING:
    from paraqueue import Client
    from paraqueue.voice_models import Voice

app = typer.Typer(no_args_is_help=True, help="Known voices: people whom transcripts name by themselves.")
PREFIX = "voice_"
Which = Annotated[str, typer.Argument(help="The name or id of a voice.", metavar="VOICE")]
Consent = Annotated[
    str, typer.Option(help="How and when the person agreed that the voice is kept and recognised; it is noted.")
]


def _id_of(client: Client, name: str) -> str:
    missing = f"there is no voice named {name!r}; see `paraqueue voices list`"
    return id_of(name, PREFIX, lambda after: client.voices(after=after, limit=PAGE), missing=missing)


@app.command("list")
def list_(limit: Limit = 20, after: After = None, json: Json = False) -> None:
    """List known voices, newest first."""
    with exits.connected() as client:
        found, after = collected(lambda at, size: client.voices(after=at, limit=size), after, limit, PAGE)
        if json:
            show.as_json(found)
        else:
            show.table(("name", "speech", "samples", "enrol again", "created", "id"), map(_row, found))
        tell_more(after)


def _row(voice: Voice) -> dict[str, Any]:
    return {
        "name": voice.name,
        "speech": show.duration(voice.speech_ms),
        "samples": len(voice.samples),
        "enrol again": "yes" if voice.needs_enrolment else "no",
        "created": (show.moment(voice.created_at), voice.created_at.isoformat()),
        "id": voice.id,
    }


@app.command("show")
def show_(voice: Which, json: Json = False) -> None:
    """Print the statement of consent, and the speakers from whom the voice was enrolled."""
    with exits.connected() as client:
        found = client.voice(_id_of(client, voice))
        if json:
            show.as_json(found)
            return
        print(f"{found.name}: {found.consent.statement}")
        for sample in found.samples:
            print(f"{sample.transcription_id}\t{sample.speaker}\t{show.duration(sample.speech_ms)}")


@app.command()
def create(
    id: Id,
    speaker: Number,
    name: Annotated[str, typer.Argument(help="The person's name.")],
    consent: Consent,
    json: Json = False,
) -> None:
    """Enrol a speaker of a transcription as a known voice, and print its id."""
    with exits.connected() as client:
        made = client.create_voice(id, speaker, name=name, consent=consent)
        show.as_json(made) if json else print(made.id)


@app.command()
def add(voice: Which, id: Id, speaker: Number, json: Json = False) -> None:
    """Enrol more speech of the same person, from another transcription."""
    with exits.connected() as client:
        changed = client.add_voice_sample(_id_of(client, voice), id, speaker)
        show.as_json(changed) if json else print(f"{changed.name}: {len(changed.samples)} samples")


@app.command()
def rename(voice: Which, name: Annotated[str, typer.Argument(help="The new name.")], json: Json = False) -> None:
    """Rename a voice; names that transcripts have stay."""
    with exits.connected() as client:
        changed = client.rename_voice(_id_of(client, voice), name)
        show.as_json(changed) if json else print(changed.name)


@app.command()
def delete(voice: Which, yes: Yes = False) -> None:
    """Delete a voice and its voice prints; names that transcripts have stay."""
    confirm(f"Delete the voice {voice}?", yes)
    with exits.connected() as client:
        client.delete_voice(_id_of(client, voice))
        print(f"{voice} deleted")
