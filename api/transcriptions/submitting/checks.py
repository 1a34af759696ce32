"""Checks of a submission against the installation: its models, vocabularies, summaries and webhooks."""

from __future__ import annotations

from dataclasses import dataclass

from api.deps import Service
from api.http.threads import in_thread
from api.transcriptions.submitting.options import Options
from common import ids, jobs, summaries, vocabularies
from common.db import Database
from common.errors import InvalidRequest, SummariesNotConfigured, UnknownModel, WebhooksNotConfigured
from common.options.transcription import TranscriptionOptions, WordLists
from common.settings import Settings
from common.summaries import Wanted


async def checked_options(service: Service, options: Options) -> str:
    """Return the model to use. Raises UnknownModel, and errors about the requested webhook."""
    _check_webhook(service.settings, options)
    if options.webhook_url is not None:
        await in_thread(service.receivers.check, options.webhook_url, "webhook_url")
    default, speakers = service.settings.model, bool(options.speakers)
    return await known_model(service.database, default, options.model, options.language, speakers=speakers)


@dataclass(frozen=True, slots=True)
class Applied:
    """The options of a job, and the words that apply to it if it has a vocabulary."""

    options: TranscriptionOptions
    words: WordLists | None = None


async def applied_to(database: Database, tenant: str, options: Options) -> Applied:
    """Return the options of the jobs of a request, with the tenant's vocabulary that it names. Raises NotFound.

    Once per request, in a thread: merging long lists takes tens of milliseconds.
    """
    chosen = options.transcription_options()
    if options.vocabulary_id is None:
        return Applied(chosen)
    wanted = ids.parsed(ids.VOCABULARY, options.vocabulary_id)

    def merged() -> Applied:
        return Applied(*vocabularies.applied(vocabularies.get(database, wanted, tenant=tenant), chosen))

    return await in_thread(merged)


async def wanted_summary(service: Service, tenant: str, options: Options) -> Wanted | None:
    """Return the summary to make of each transcript, if any. Raises SummariesNotConfigured, NotFound."""
    if not options.summary:
        return None
    if not service.settings.summaries:
        raise SummariesNotConfigured("summaries are not configured: PARAQUEUE_SUMMARY_URL is not set")
    kind, language = "minutes" if options.summary is True else options.summary, options.summary_language
    return await in_thread(summaries.chosen, service.database, kind, tenant=tenant, language=language)


def _check_webhook(settings: Settings, options: Options) -> None:
    """Reject webhooks that could not be signed or have no receiver."""
    if options.webhook_events is not None and options.webhook_url is None:
        raise InvalidRequest("`webhook_events` requires `webhook_url`")
    if options.webhook_url is not None and not settings.webhook_secret:
        raise WebhooksNotConfigured(
            "webhooks to `webhook_url` are not configured, and none is sent unsigned: set "
            "PARAQUEUE_WEBHOOK_SECRET for the API and the light worker"
        )


async def known_model(
    database: Database, default: str, requested: str | None, language: str | None, *, speakers: bool = False
) -> str:
    """Return the requested model, or the default one. Raises UnknownModel, UnsupportedLanguage, SpeakersUnsupported."""
    model = requested or default
    if model != default:
        # A worker that is silent or draining may be restarting: the job waits for it, like one for the default model.
        workers = await in_thread(jobs.known_workers, database)
        served = {default, *(known.worker.model for known in workers)}
        if model not in served:
            raise UnknownModel(f"unknown model {model!r}; available: {', '.join(sorted(served))}")
    if language is not None or speakers:
        card = await in_thread(jobs.known_card, database, model)
        card.check_language(model, language)
        card.check_speakers(model, speakers)
    return model
