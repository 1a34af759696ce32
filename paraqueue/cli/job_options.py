"""Options of every command that submits."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paraqueue.cli.channels import (
    ChannelsOption,
    SegmentationOption,
    TrackOption,
    channel_options,
    segmentation_options,
)
from paraqueue.cli.speakers import NoKnownVoices, SpeakersOption, speaker_options
from paraqueue.cli.summaries import SummaryLanguageOption, SummaryOption, summary_options
from paraqueue.cli.texts import Hotwords, Itn, Masks, NoFillers, Traditional, text_options
from paraqueue.cli.vocabularies import VocabularyOption, vocabulary_options

if TYPE_CHECKING:
    from paraqueue import Client

ModelOption = Annotated[str | None, typer.Option(help="Another model than the service's own.")]
LanguageOption = Annotated[
    str | None, typer.Option(help="Language of the recording, such as zh; refused if the model does not know it.")
]
PriorityOption = Annotated[int | None, typer.Option(min=0, max=9, help="9 runs first.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", "-t", help="Repeatable.")]
WebhookOption = Annotated[str | None, typer.Option(help="URL to notify when the transcription or batch has ended.")]
Events = Annotated[
    list[str] | None,
    typer.Option(help="An event to send to --webhook; repeatable. Default: those that say that it ended."),
]
Dedupe = Annotated[
    bool, typer.Option("--dedupe", help="Reuse an earlier transcript of the same audio with the same options.")
]


@dataclass(frozen=True)
class JobOptions:
    """The options that were given, as the API takes them, and a vocabulary and a template by their names or ids."""

    given: dict[str, Any]
    vocabulary: str | None
    summary: str | None

    def resolved(self, client: Client) -> dict[str, Any]:
        """Return all options for the API. Raises ConfigurationError for a name that does not exist."""
        return self.given | vocabulary_options(client, self.vocabulary) | summary_options(client, self.summary)


def _job_options(
    *,
    model: ModelOption = None,
    language: LanguageOption = None,
    channels: ChannelsOption = None,
    audio_track: TrackOption = None,
    speakers: SpeakersOption = None,
    no_known_voices: NoKnownVoices = False,
    itn: Itn = False,
    remove_fillers: NoFillers = False,
    mask: Masks = None,
    traditional: Traditional = False,
    hotword: Hotwords = None,
    vocabulary: VocabularyOption = None,
    segmentation: SegmentationOption = None,
    summary: SummaryOption = None,
    summary_language: SummaryLanguageOption = None,
    priority: PriorityOption = None,
    tag: Tags = None,
    webhook: WebhookOption = None,
    webhook_event: Events = None,
    dedupe: Dedupe = False,
) -> JobOptions:
    """Return the options for the API; what was not asked for is left to the service."""
    given = {
        "model": model,
        "language": language,
        **channel_options(channels, audio_track),
        **speaker_options(speakers, no_known_voices),
        **text_options(itn, remove_fillers, mask, traditional, hotword),
        **segmentation_options(segmentation),
        "summary_language": summary_language,
        "priority": priority,
        "tags": tag,
        "webhook_url": webhook,
        "webhook_events": webhook_event,
        "dedupe": dedupe or None,
    }
    return JobOptions(given, vocabulary, summary)


def takes_job_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add all options of a job to a command, which receives them together as its argument `options`."""
    shared = inspect.signature(_job_options, eval_str=True).parameters
    signature = inspect.signature(command, eval_str=True)

    @wraps(command)
    def with_options(*arguments: Any, **values: Any) -> None:
        options = _job_options(**{name: values.pop(name) for name in shared if name in values})
        command(*arguments, options=options, **values)

    own = [parameter for name, parameter in signature.parameters.items() if name != "options"]
    required = [parameter for parameter in own if parameter.default is parameter.empty]
    optional = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in own if parameter not in required]
    # Typer reads the options of a command from its signature.
    shown = signature.replace(parameters=[*required, *shared.values(), *optional])
    with_options.__signature__ = shown  # type: ignore[attr-defined]
    return with_options
