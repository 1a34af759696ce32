"""Who asks for summaries, and of what."""

from __future__ import annotations

from typing import Any

from common import keys
from common.jobs import Job
from common.keys import NewKey, Scope
from tests.api.api_cases import Api

PATH = "/v1/summary-templates"


LINK = "https://example.com/a.mp3"


SECRET = "我们秘密决定收购乙公司。"


def of(job: Job) -> str:
    return f"/v1/transcriptions/{job.public_id}/summary"


def bearer(api: Api, *scopes: Scope, tenant: str = "default") -> dict[str, str]:
    _, secret = keys.create(api.database, NewKey("test", tenant, frozenset(scopes)))
    return {"Authorization": f"Bearer {secret}"}


def template(api: Api, name: str = "Letter", prompt: str = "Write a letter.") -> dict[str, Any]:
    answer = api.client.post(PATH, json={"name": name, "prompt": prompt})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created
