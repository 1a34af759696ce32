"""Operations that return transcripts as files (see `paraqueue.exchange`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from paraqueue.exchange import Operation, Send, given, request

JOBS = "/v1/transcriptions"
TextFormat = Literal["txt", "srt", "vtt", "ass", "md", "csv", "json"]
FileFormat = TextFormat | Literal["docx"]


def text(
    id: str,
    format: TextFormat = "txt",
    *,
    partial: bool = False,
    machine: bool = False,
    times: bool | None = None,
    speakers: bool | None = None,
) -> Operation[str]:
    """The transcript as text in any format but `docx`; other arguments as in `transcript` and `export`."""
    content = yield from export(id, format, partial=partial, machine=machine, times=times, speakers=speakers)
    return content.decode()


def export(
    id: str,
    format: FileFormat = "docx",
    *,
    partial: bool = False,
    machine: bool = False,
    times: bool | None = None,
    speakers: bool | None = None,
) -> Operation[bytes]:
    """The transcript as the content of a file.

    `times`, `speakers`: whether `txt`, `md` and `docx` show times and name speakers; None: as the format does by
    default. Other arguments and errors as in `transcript`.
    """
    answer = yield from request(reading(id, format, partial=partial, machine=machine, times=times, speakers=speakers))
    return answer.content


def export_many(
    ids: Sequence[str],
    format: FileFormat = "docx",
    *,
    machine: bool = False,
    times: bool | None = None,
    speakers: bool | None = None,
) -> Operation[bytes]:
    """The transcripts of up to 1,000 transcriptions as a zip archive; other arguments as in `export`.

    `errors.txt` in the archive lists transcriptions that do not exist or have no transcript (yet): a line for each with
    id, error code and message, separated by tabs.
    """
    params = {"format": format, "text": "machine" if machine else "edited"} | _layout(times, speakers)
    answer = yield from request(Send("POST", f"{JOBS}/export", params, json={"ids": list(ids)}))
    return answer.content


def reading(
    id: str,
    format: FileFormat,
    *,
    partial: bool,
    machine: bool,
    times: bool | None = None,
    speakers: bool | None = None,
) -> Send:
    """Return the request for a transcript."""
    params = {"format": format, "partial": str(partial).lower(), "text": "machine" if machine else "edited"}
    params |= _layout(times, speakers)
    return Send("GET", f"{JOBS}/{id}/transcript", params)


def _layout(times: bool | None, speakers: bool | None) -> dict[str, str]:
    return {name: str(value).lower() for name, value in given(times=times, speakers=speakers).items()}
