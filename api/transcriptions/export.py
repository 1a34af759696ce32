"""Many transcripts in one zip archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.deps import DatabaseDep, ReadCaller, v1_router
from api.http.negotiation import OCTETS, octets_wanted
from api.transcriptions.transcripts import FormatName, file_of, in_turns, subtitle_options
from common import ids, jobs
from common.db import Database
from common.errors import Expired, NotFound, NoTranscript, NotReady, ParaqueueError
from common.file_names import UniqueNames
from common.jobs import Job
from common.transcript.formats import Format
from common.transcript.subtitles import SubtitleOptions
from common.transcript.zip_stream import ZipSink

router = v1_router("/v1/transcriptions", "transcriptions")
MOST_IDS = 1000
ERRORS = "errors.txt"
ZIP = "application/zip"
BINARY = {"type": "string", "format": "binary"}
# What keeps one transcript out of an archive; anything else ends the response.
LEFT_OUT = (NotFound, NotReady, NoTranscript, Expired)
TranscriptionId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")]


class Export(BaseModel):
    """The transcriptions to export."""

    model_config = ConfigDict(extra="forbid")

    ids: list[TranscriptionId] = Field(
        min_length=1, max_length=MOST_IDS, description="Ids of transcriptions; a repeated one is exported once."
    )


@dataclass(frozen=True)
class Archive:
    """The transcripts of a tenant's jobs as files in a zip archive, made while it is sent."""

    database: Database
    tenant: str
    form: Format
    options: SubtitleOptions
    machine: bool = False
    _names: UniqueNames = field(default_factory=lambda: UniqueNames([ERRORS]))

    def blocks(self, job_ids: Sequence[str]) -> Iterator[bytes]:
        """Yield the bytes of the archive; `errors.txt` in it lists jobs without a transcript, each with the reason."""
        sink, problems = ZipSink(), list[str]()
        with ZipFile(sink, "w", ZIP_DEFLATED) as target:
            for job_id in dict.fromkeys(job_ids):
                try:
                    job = self._job(job_id)
                except LEFT_OUT as error:
                    problems.append(_line(job_id, error))
                    continue
                with target.open(self._member(job), "w") as file:
                    for piece in file_of(self.database, job, self.form, self.options, machine=self.machine):
                        file.write(piece)
                        yield sink.taken()
                yield sink.taken()
            if problems:
                target.writestr(ERRORS, "".join(problems))
        yield sink.taken()

    def _job(self, job_id: str) -> Job:
        job = jobs.get(self.database, ids.parsed(ids.JOB, job_id), tenant=self.tenant)
        return jobs.readable(job, partial=False)

    def _member(self, job: Job) -> ZipInfo:
        name = self._names.of(job.stem, self.form.value)
        member = ZipInfo(name, job.created_at.timetuple()[:6])
        member.compress_type = ZIP_DEFLATED
        member.external_attr = 0o644 << 16
        return member


def _line(job_id: str, error: ParaqueueError) -> str:
    return f"{job_id}\t{error.code}\t{error.message}\n"


@router.post(
    "/export",
    response_class=StreamingResponse,
    response_description="A zip archive.",
    responses={200: {"content": {media: {"schema": BINARY} for media in (ZIP, OCTETS)}}},
)
def export_transcripts(
    request: Request,
    database: DatabaseDep,
    caller: ReadCaller,
    body: Export,
    options: Annotated[SubtitleOptions, Depends(subtitle_options)],
    form: Annotated[FormatName, Query(alias="format")] = "txt",
    text: Annotated[
        Literal["edited", "machine"], Query(description="`machine`: the recognised text without corrections.")
    ] = "edited",
) -> StreamingResponse:
    """The transcripts of up to 1,000 transcriptions as files in a zip archive, which is streamed.

    Files have the names of the recordings. Transcriptions that do not exist or have no transcript (yet) are listed in
    `errors.txt` in the archive. With `Accept: application/octet-stream` the archive has that media type.
    """
    archive = Archive(database, caller.tenant, Format(form), options, text == "machine")
    blocks = in_turns(archive.blocks(body.ids), caller.tenant)
    headers = {"Content-Disposition": 'attachment; filename="transcripts.zip"', "Vary": "Accept"}
    media_type = OCTETS if octets_wanted(request.headers) else ZIP
    return StreamingResponse(blocks, headers=headers, media_type=media_type)
