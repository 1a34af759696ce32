"""Share links in tests: finished jobs, links to them, and the calls of visitors."""

from __future__ import annotations

import json
from typing import Any

import httpx

from common import jobs, keys
from common.jobs import Job
from common.keys import NewKey, Scope
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import claimed, complete, submitted

TEXTS = ("你好，世界。", "我们开始吧。", "再见。")


def finished(api: Api, tenant: str = "default", **changes: Any) -> Job:
    held = claimed(api.database, submitted(api.database, tenant=tenant, **changes))
    complete(api.database, held, *TEXTS)
    return jobs.get(api.database, held.job.id)


def path_of(job: Job) -> str:
    return f"/v1/transcriptions/{job.public_id}/shares"


def shared_by(api: Api, job: Job, **wanted: Any) -> dict[str, Any]:
    answer = api.client.post(path_of(job), json=wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def key_of(api: Api, *scopes: Scope, tenant: str = "default", **more: Any) -> dict[str, str]:
    return bearer(keys.create(api.database, NewKey("test", tenant, frozenset(scopes), **more))[1])


def look(api: Api, token: str, path: str = "", **more: Any) -> httpx.Response:
    """A call of a visitor: no key, no cookie, only the token."""
    return httpx.get(f"{api.client.base_url}/v1/shared{path}", headers=bearer(token), trust_env=False, **more)


def over(answer: httpx.Response) -> str:
    """The problem that a visitor gets for a link that does not work; `request_id` is left out, as it always differs."""
    problem = problem_of(answer, 404, "not_found")
    return json.dumps({name: value for name, value in problem.items() if name != "request_id"})
