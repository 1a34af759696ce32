"""Requests and responses about vocabularies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from api.http.bodies import StrictBody
from api.transcriptions.submitting.options import HotwordEntry, MaskedWord
from common.transcript import hotwords
from common.vocabularies import MAX_WORDS, Vocabulary, VocabularySummary


def _checked_together(entries: list[str]) -> list[str]:
    hotwords.check_together(entries)
    return entries


Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]+$"),
    Field(description="Unique among the tenant's vocabularies.", examples=["Board meetings"]),
]
Hotwords = Annotated[
    list[HotwordEntry],
    Field(
        max_length=MAX_WORDS,
        fail_fast=True,
        description="Names and terms in the form of `hotwords` of a transcription: `word`, `word:weight` or "
        "`wrong=>right`.",
        examples=[["王晓明", "Kubernetes:8", "吉特哈布=>GitHub"]],
    ),
    AfterValidator(_checked_together),
]
MaskedWords = Annotated[
    list[MaskedWord],
    Field(
        max_length=MAX_WORDS, fail_fast=True, description="Words that are replaced by asterisks, as `masked_words` are."
    ),
]


class VocabularyCreate(StrictBody):
    """A vocabulary to create."""

    name: Name
    hotwords: Hotwords = Field(default_factory=list)
    masked_words: MaskedWords = Field(default_factory=list)


class VocabularyUpdate(StrictBody):
    """Changes of a vocabulary; missing and null values leave it unchanged, lists are replaced as a whole."""

    name: Name | None = None
    hotwords: Hotwords | None = None
    masked_words: MaskedWords | None = None
    revision: int | None = Field(
        None,
        ge=1,
        le=2**31 - 1,
        description="The revision that you read; refused if there is a newer one.",
    )


class VocabularyOut(BaseModel):
    """A vocabulary, without its words."""

    id: str
    object: Literal["vocabulary"] = "vocabulary"
    name: str
    revision: int = Field(description="Incremented by each change.")
    hotword_count: int
    masked_word_count: int
    created_at: datetime
    updated_at: datetime


class VocabularyDetail(VocabularyOut):
    """A vocabulary with its words."""

    hotwords: list[str]
    masked_words: list[str]


class VocabularyList(BaseModel):
    """Some vocabularies, newest first, without their words."""

    data: list[VocabularyOut]
    next: str | None = Field(description="Value of `after` for the next page; null on the last page.")


def summary_of(vocabulary: VocabularySummary) -> VocabularyOut:
    """Convert a vocabulary to its representation in lists."""
    return VocabularyOut.model_validate(_fields(vocabulary))


def detail_of(vocabulary: Vocabulary) -> VocabularyDetail:
    """Convert a vocabulary to its API representation."""
    words = {"hotwords": list(vocabulary.hotwords), "masked_words": list(vocabulary.masked_words)}
    return VocabularyDetail.model_validate({**_fields(vocabulary), **words})


def _fields(vocabulary: VocabularySummary) -> dict[str, object]:
    return {
        "id": vocabulary.public_id,
        "name": vocabulary.name,
        "revision": vocabulary.revision,
        "hotword_count": vocabulary.hotword_count,
        "masked_word_count": vocabulary.masked_word_count,
        "created_at": vocabulary.created_at,
        "updated_at": vocabulary.updated_at,
    }
