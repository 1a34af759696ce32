"""Bodies with thousands of faults are refused with few errors."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from api.transcriptions.sentences import Correction, Corrections
from api.vocabularies.schemas import VocabularyCreate, VocabularyUpdate

UNKNOWN = {f"field-{number}": number for number in range(3_000)}
PLACES = {"number": 0, "confirmed": [-1] * 4_000}


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (Corrections, {"corrections": [PLACES | {"number": number} for number in range(50)]}),
        (Corrections, {"corrections": [{"number": 0, "text": "a"} | UNKNOWN]}),
        (Corrections, {"corrections": []} | UNKNOWN),
        (Correction, {"text": "a"} | UNKNOWN),
        (VocabularyCreate, {"name": "a"} | UNKNOWN),
        (VocabularyUpdate, UNKNOWN),
        (VocabularyCreate, {"name": "a", "hotwords": [1] * 3_000, "masked_words": [1] * 3_000}),
    ],
)
def test_a_body_has_few_errors(shape: type[BaseModel], body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        shape.model_validate(body)
    assert 1 <= raised.value.error_count() <= 21
