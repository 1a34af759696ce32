"""`get` and `export`: transcripts in a format, printed or written."""

from __future__ import annotations

import sys
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer

from paraqueue.cli import exits, files


class Form(StrEnum):
    """Transcript formats."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    ASS = "ass"
    MD = "md"
    CSV = "csv"
    DOCX = "docx"
    JSON = "json"


# The file in an archive that lists what is not in it: id, error code and message, separated by tabs
ERRORS = "errors.txt"
Id = Annotated[str, typer.Argument(help="Id of a transcription: tr_…", metavar="ID")]
Ids = Annotated[list[str], typer.Argument(metavar="ID…")]
FormOption = Annotated[Form, typer.Option("--format", "-f", help="Format of the transcript.")]
Times = Annotated[bool | None, typer.Option(help="Whether txt, md and docx show times.")]
Named = Annotated[bool | None, typer.Option(help="Whether speakers are named.")]


def check_printable(form: Form, printed: bool, target: str) -> None:
    """Refuse to print what is not text."""
    if printed and form is Form.DOCX:
        raise typer.BadParameter(f"docx is not text: name {target} with --output", param_hint="--format")


def get(
    id: Id,
    form: FormOption = Form.TXT,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write to.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="What there is so far.")] = False,
    times: Times = None,
    speakers: Named = None,
) -> None:
    """Print a transcript."""
    check_printable(form, output is None, "a file")
    with exits.connected() as client:
        content = client.export(id, form.value, partial=partial, times=times, speakers=speakers)
        if output:
            files.write_whole(output, content)
        else:
            text = content.decode()
            print(text, end="" if text.endswith("\n") else "\n")


def export(
    ids: Ids,
    output: Annotated[Path, typer.Option("--output", "-o", help="Zip file to write to.")],
    form: FormOption = Form.DOCX,
    times: Times = None,
    speakers: Named = None,
) -> None:
    """Write several transcripts into a zip file.

    If some have no transcript, they are named on standard error and in errors.txt in the zip file, and the exit status
    is 1.
    """
    with exits.connected() as client:
        content = client.export_many(ids, form.value, times=times, speakers=speakers)
        files.write_whole(output, content)
        left_out = _left_out(content)
        for line in left_out:
            exits.errors().print(f"paraqueue: {line}")
        if left_out:
            sys.exit(exits.FAILED)


def _left_out(archive: bytes) -> list[str]:
    """Return a line for each transcription that an archive of the service does not contain."""
    from zipfile import ZipFile

    with ZipFile(BytesIO(archive)) as file:
        if ERRORS not in file.namelist():
            return []
        lines = file.read(ERRORS).decode().splitlines()
    return [f"{id}: {message} ({code})" for id, code, message in (line.split("\t", 2) for line in lines)]
