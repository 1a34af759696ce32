"""Vocabularies: create, list, read, change, delete."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends, Request, Response

from api.deps import DatabaseDep, ReadCaller, SubmitAndReadCaller, public_url, v1_router
from api.http.error_responses import errors_of
from api.http.paging import After, Limit
from api.vocabularies.schemas import (
    VocabularyCreate,
    VocabularyDetail,
    VocabularyList,
    VocabularyUpdate,
    detail_of,
    summary_of,
)
from common import errors, ids, vocabularies
from common.vocabularies import VocabularyChange

router = v1_router("/v1/vocabularies", "vocabularies")


async def vocabulary_uuid(vocabulary_id: str) -> uuid.UUID:
    """Return the UUID of a vocabulary id in a path. Raises NotFound if it is not a valid vocabulary id."""
    return ids.parsed(ids.VOCABULARY, vocabulary_id)


VocabularyId = Annotated[uuid.UUID, Depends(vocabulary_uuid)]


@router.post("", status_code=201, responses=errors_of(errors.TooManyVocabularies, errors.VocabularyNameTaken))
def create_vocabulary(
    request: Request, response: Response, database: DatabaseDep, caller: SubmitAndReadCaller, body: VocabularyCreate
) -> VocabularyDetail:
    """Create a vocabulary. Transcriptions use it if they are submitted with its id as `vocabulary_id`."""
    vocabulary = vocabularies.create(
        database, tenant=caller.tenant, name=body.name, hotwords=body.hotwords, masked_words=body.masked_words
    )
    response.headers["Location"] = f"{public_url(request)}/v1/vocabularies/{vocabulary.public_id}"
    return detail_of(vocabulary)


@router.get("")
def list_vocabularies(
    database: DatabaseDep,
    caller: ReadCaller,
    after: After = None,
    limit: Limit = 20,
) -> VocabularyList:
    """A page of vocabularies without their words, newest first."""
    page = vocabularies.page(database, tenant=caller.tenant, after=after, limit=limit)
    return VocabularyList(data=[summary_of(item) for item in page.vocabularies], next=page.next_cursor)


@router.get("/{vocabulary_id}")
def get_vocabulary(database: DatabaseDep, caller: ReadCaller, vocabulary: VocabularyId) -> VocabularyDetail:
    """A vocabulary with its words."""
    return detail_of(vocabularies.get(database, vocabulary, tenant=caller.tenant))


@router.patch("/{vocabulary_id}", responses=errors_of(errors.VocabularyNameTaken, errors.VocabularyChanged))
def update_vocabulary(
    database: DatabaseDep, caller: SubmitAndReadCaller, vocabulary: VocabularyId, body: VocabularyUpdate
) -> VocabularyDetail:
    """Rename a vocabulary, or replace its words. Transcriptions that were submitted before keep the old words."""
    changes = VocabularyChange(body.name, body.hotwords, body.masked_words, body.revision)
    return detail_of(vocabularies.change(database, vocabulary, changes, tenant=caller.tenant))


@router.delete("/{vocabulary_id}", status_code=204, response_class=Response)
def delete_vocabulary(database: DatabaseDep, caller: SubmitAndReadCaller, vocabulary: VocabularyId) -> None:
    """Delete a vocabulary. Transcriptions that were submitted with it keep its words."""
    vocabularies.remove(database, vocabulary, tenant=caller.tenant)
