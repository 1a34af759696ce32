"""The database tables, one file per area; the job rules read and write them, and return frozen values."""

from common.models.base import DEFAULT_TENANT, Row, Timestamp
from common.models.jobs import (
    JOB_CHANGES,
    NO_KEY,
    QUARANTINE_CRASHES,
    STATUSES,
    AttemptRow,
    BatchRow,
    IdempotencyRow,
    JobRow,
    JobTagRow,
)
from common.models.renditions import DerivedObject, PeaksRow, RenditionRow
from common.models.shares import ShareRow
from common.models.summaries import SummaryRow, SummarySectionRow, SummaryTemplateRow, SummaryUsageRow
from common.models.tenants import ApiKeyRow, EndedSessionRow, TenantRow, UsageDailyRow, UsageRow
from common.models.transcripts import (
    EDIT_GRAMS,
    SENTENCE_GRAMS,
    EarlierEditRow,
    EditRow,
    MachineSentenceRow,
    PartRow,
    SentenceRow,
    SpeakerRow,
    SpeakerWindowsRow,
    as_recognised,
)
from common.models.uploads import UploadPartRow, UploadRow
from common.models.vocabularies import JobWordsRow, VocabularyRow
from common.models.webhooks import DeliveryRow, EndpointRow
from common.models.workers import WorkerRow

__all__ = [
    "DEFAULT_TENANT",
    "EDIT_GRAMS",
    "JOB_CHANGES",
    "NO_KEY",
    "QUARANTINE_CRASHES",
    "SENTENCE_GRAMS",
    "STATUSES",
    "ApiKeyRow",
    "AttemptRow",
    "BatchRow",
    "DeliveryRow",
    "DerivedObject",
    "EarlierEditRow",
    "EditRow",
    "EndedSessionRow",
    "EndpointRow",
    "IdempotencyRow",
    "JobRow",
    "JobTagRow",
    "JobWordsRow",
    "MachineSentenceRow",
    "PartRow",
    "PeaksRow",
    "RenditionRow",
    "Row",
    "SentenceRow",
    "ShareRow",
    "SpeakerRow",
    "SpeakerWindowsRow",
    "SummaryRow",
    "SummarySectionRow",
    "SummaryTemplateRow",
    "SummaryUsageRow",
    "TenantRow",
    "Timestamp",
    "UploadPartRow",
    "UploadRow",
    "UsageDailyRow",
    "UsageRow",
    "VocabularyRow",
    "WorkerRow",
    "as_recognised",
]
