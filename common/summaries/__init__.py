"""Summaries of transcripts: requested with a job or later, made by the light worker through a chat endpoint.

A job has one summary, which is stored beside its sentences; a new request replaces it when it is
completed. `jobs` tells when a transcript
is there, and when it changes.
"""

from common.summaries.claims import (
    Claim,
    Section,
    SummaryStopped,
    claim_next,
    commit_section,
    complete,
    fail,
    give_back,
    keep,
    rescue_expired,
    sections_done,
    settle,
    try_again,
)
from common.summaries.prompts import KINDS, Kind, Language
from common.summaries.requests import (
    any_new,
    chosen,
    get,
    mark_stale,
    of_job,
    remove,
    request,
    request_in,
    request_missing_in,
    status_of,
    transcripts_ended,
    waits_again,
)
from common.summaries.summary import NO_TOKENS, PreviousSummary, Spent, Summary, SummaryFailure, Tokens, Wanted
from common.summaries.templates import (
    Template,
    TemplateChange,
    TemplatePage,
    change_template,
    create_template,
    get_template,
    remove_template,
    template_page,
)
from common.summaries.usage import expire_usage

__all__ = [
    "KINDS",
    "NO_TOKENS",
    "Claim",
    "Kind",
    "Language",
    "PreviousSummary",
    "Section",
    "Spent",
    "Summary",
    "SummaryFailure",
    "SummaryStopped",
    "Template",
    "TemplateChange",
    "TemplatePage",
    "Tokens",
    "Wanted",
    "any_new",
    "change_template",
    "chosen",
    "claim_next",
    "commit_section",
    "complete",
    "create_template",
    "expire_usage",
    "fail",
    "get",
    "get_template",
    "give_back",
    "keep",
    "mark_stale",
    "of_job",
    "remove",
    "remove_template",
    "request",
    "request_in",
    "request_missing_in",
    "rescue_expired",
    "sections_done",
    "settle",
    "status_of",
    "template_page",
    "transcripts_ended",
    "try_again",
    "waits_again",
]
