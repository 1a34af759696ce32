"""Limits of a tenant, which its keys share and none of them can leave; and what a key may make."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.transcriptions import routes, search
from common import jobs, tenants
from common.jobs.reading import words
from common.keys import Scope
from common.tenants import OwnLimits
from tests.api.api_cases import Api, problem_of, within_one_minute
from tests.api.tenants.cases import key_of, made_by
from tests.db.job_cases import claimed, execute, failed, one, part, submitted

SOON = datetime(2100, 1, 1, tzinfo=UTC)


def test_what_is_not_said_of_a_key_is_as_with_its_maker(api: Api) -> None:
    _, maker = key_of(api, expires_at=SOON, limits=OwnLimits(max_queued=5, max_running=2))
    made = made_by(api, maker, limits={"max_running": 1}).json()
    assert datetime.fromisoformat(made["expires_at"]) == SOON
    assert (made["limits"]["max_queued"], made["limits"]["max_running"]) == (5, 1)
    _, free = key_of(api)
    assert made_by(api, free).json()["expires_at"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"scopes": ["read"], "expires_at": (SOON + timedelta(seconds=1)).isoformat()},
        {"scopes": ["read"], "limits": {"max_queued": 6}},
        {"scopes": ["read", "submit", "admin"]},
        {"scopes": ["submit"]},
    ],
    ids=["longer", "wider", "all scopes", "another scope"],
)
def test_no_key_outlives_or_outranks_its_maker(api: Api, fields: dict[str, Any]) -> None:
    scopes = frozenset({Scope.ADMIN, Scope.READ})
    _, maker = key_of(api, scopes=scopes, expires_at=SOON, limits=OwnLimits(max_queued=5))
    problem_of(made_by(api, maker, **fields), 403, "forbidden")
    assert made_by(api, maker, scopes=["read"]).status_code == 201


def test_zero_is_no_way_out_of_a_limit(api: Api) -> None:
    _, maker = key_of(api, limits=OwnLimits(max_queued=5))
    assert made_by(api, maker, limits={"max_queued": 0}).json()["limits"]["max_queued"] == 5


def test_the_secret_of_a_key_that_may_more_is_not_available(api: Api) -> None:
    mighty, _ = key_of(api)
    weak, weakly = key_of(api, expires_at=SOON)
    problem_of(api.client.post(f"/v1/keys/{mighty.public_id}/rotate", headers=weakly), 403, "forbidden")
    assert api.client.post(f"/v1/keys/{weak.public_id}/rotate", headers=weakly).status_code == 200


def test_a_key_that_is_revoked_takes_those_with_it_that_it_made(api: Api) -> None:
    first, maker = key_of(api)
    child = made_by(api, maker, scopes=["admin", "read"]).json()
    grandchild = made_by(api, {"Authorization": f"Bearer {child['key']}"}, scopes=["read"]).json()
    _, bystander = key_of(api)
    assert api.client.delete(f"/v1/keys/{first.public_id}").status_code == 204
    for secret in (child["key"], grandchild["key"]):
        headers = {"Authorization": f"Bearer {secret}"}
        problem_of(api.client.get("/v1/models", headers=headers), 401, "unauthenticated")
    assert api.client.get("/v1/models", headers=bystander).status_code == 200


def test_calls_are_counted_for_all_keys_of_a_tenant_together(api: Api) -> None:
    within_one_minute()
    tenants.set_limits(api.database, "acme", {"requests_per_minute": 10})
    callers = [key_of(api)[1] for _ in range(4)]
    answers = [api.client.get("/v1/models", headers=callers[number % 4]).status_code for number in range(20)]
    assert (answers.count(200), answers.count(429)) == (10, 10)
    _, narrow = key_of(api, tenant="other", limits=OwnLimits(requests_per_minute=2))
    assert [api.client.get("/v1/models", headers=narrow).status_code for _ in range(3)] == [200, 200, 429]
    assert api.client.get("/v1/models", headers=key_of(api, tenant="other")[1]).status_code == 200


def test_the_queue_of_a_tenant_takes_so_many_jobs_of_all_its_keys(api: Api) -> None:
    tenants.set_limits(api.database, "acme", {"max_queued": 5})
    callers = [key_of(api)[1] for _ in range(3)]

    def submit(number: int) -> int:
        body = {"audio_url": "https://e.com/a.mp3"}
        return api.client.post("/v1/transcriptions", json=body, headers=callers[number % 3]).status_code

    with ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(submit, range(20)))
    assert (statuses.count(202), statuses.count(429)) == (5, 15)


def test_channels_that_are_split_count_one_by_one(api: Api) -> None:
    tenants.set_limits(api.database, "acme", {"audio_minutes_per_day": 60})
    key, headers = key_of(api)
    job = submitted(api.database, tenant="acme", key_id=key.id, channels="split")
    held = claimed(api.database, job)
    jobs.commit_part(api.database, held, part(1, "在第四个声道"), first_sentence=0)
    execute(api.database, "UPDATE sentences SET channel = 3")
    execute(api.database, f"UPDATE jobs SET processed_ms = {14 * 60_000}")
    body = {"audio_url": "https://e.com/a.mp3"}
    assert api.client.post("/v1/transcriptions", json=body, headers=headers).status_code == 202
    execute(api.database, f"UPDATE jobs SET processed_ms = {15 * 60_000} WHERE id = '{job.id}'")
    refused = api.client.post("/v1/transcriptions", json=body, headers=headers)
    assert "tenant" in problem_of(refused, 429, "quota_exceeded")["detail"]
    jobs.cancel(api.database, job.id)
    jobs.stop_canceled(api.database, held, stage_ms={})
    assert one(api.database, f"SELECT channels FROM usage WHERE job_id = '{job.id}'") == 4
    problem_of(api.client.post("/v1/transcriptions", json=body, headers=headers), 429, "quota_exceeded")


def test_a_retry_is_held_against_the_quota(api: Api) -> None:
    key, headers = key_of(api, limits=OwnLimits(max_queued=1))
    done = failed(api.database, submitted(api.database, tenant="acme", key_id=key.id))
    submitted(api.database, tenant="acme", key_id=key.id)
    path = f"/v1/transcriptions/{done.public_id}"
    problem_of(api.client.post(f"{path}/retry", headers=headers), 429, "quota_exceeded")
    assert api.client.get(path).status_code in (200, 404)
    assert jobs.get(api.database, done.id).status == "failed"
    execute(api.database, "DELETE FROM jobs WHERE status = 'queued'")
    assert api.client.post(f"{path}/retry", headers=headers).status_code == 202


def test_only_the_operator_sets_the_limits_of_tenants(api: Api) -> None:
    changed = api.client.patch("/v1/tenants/acme", json={"max_queued": 7})
    assert (changed.status_code, changed.json()["limits"]["max_queued"]) == (200, 7)
    _, acme = key_of(api)
    assert api.client.get("/v1/tenants/acme", headers=acme).json() == changed.json()
    problem_of(api.client.patch("/v1/tenants/acme", json={"max_queued": 0}, headers=acme), 403, "forbidden")
    problem_of(api.client.get("/v1/tenants/default", headers=acme), 404, "not_found")
    problem_of(api.client.patch("/v1/tenants/acme", json={"max_queued": -1}), 422, "invalid_request")


TUS = {"Tus-Resumable": "1.0.0"}


def opened(api: Api, headers: dict[str, str], length: int | None) -> httpx.Response:
    size = {"Upload-Length": str(length)} if length is not None else {"Upload-Defer-Length": "1"}
    return api.client.post("/v1/uploads", headers=headers | TUS | size)


@pytest.mark.parametrize("length", [1024, None], ids=["announced", "deferred"])
def test_open_uploads_of_a_tenant_are_bounded_by_bytes(
    api: Api, monkeypatch: pytest.MonkeyPatch, length: int | None
) -> None:
    each = length or api.settings.max_upload_bytes
    settings = api.settings.model_copy(update={"tenant_open_upload_bytes": 3 * each, "tenant_open_uploads": 0})
    monkeypatch.setitem(api.app.state._state, "service", replace(api.service, settings=settings))
    callers = [key_of(api)[1] for _ in range(3)]
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda number: opened(api, callers[number % 3], length), range(9)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 6
    assert opened(api, key_of(api, tenant="other")[1], length).status_code == 201
    first = next(answer for answer in answers if answer.status_code == 201).headers["location"]
    assert api.client.delete(first, headers=callers[0] | TUS).status_code == 204
    assert opened(api, callers[0], length).status_code == 201


def test_open_uploads_of_a_tenant_are_bounded_by_number(api: Api) -> None:
    _, headers = key_of(api)
    most = api.settings.tenant_open_uploads
    answers = [opened(api, headers, 1).status_code for _ in range(most + 2)]
    assert answers == [201] * most + [429] * 2


def test_searches_of_one_tenant_do_not_take_all_threads(api: Api) -> None:
    _, headers = key_of(api)
    with ExitStack() as running:
        for _ in range(3):
            running.enter_context(search.SEARCHES.of("acme"))
        refused = api.get("/search", params={"q": "预算"}, headers=headers)
        assert problem_of(refused, 429, "rate_limited")["retryable"]
        assert refused.headers["retry-after"] == "1"
        assert api.get("/search", params={"q": "预算"}).status_code == 200, "another tenant's"
    assert api.get("/search", params={"q": "预算"}, headers=headers).status_code == 200


def test_filters_by_name_of_one_tenant_do_not_take_all_threads(api: Api) -> None:
    _, headers = key_of(api)
    with ExitStack() as running:
        for _ in range(3):
            running.enter_context(routes.NAME_FILTERS.of("acme"))
        refused = api.get("", params={"name": "预算"}, headers=headers)
        assert problem_of(refused, 429, "rate_limited")["retryable"]
        assert api.get("", headers=headers).status_code == 200, "a list without a filter"
        assert api.get("", params={"name": "预算"}).status_code == 200, "another tenant's"
    assert api.get("", params={"name": "预算"}, headers=headers).status_code == 200


def test_a_search_that_takes_too_long_is_broken_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(
        api.database,
        "INSERT INTO jobs (id, status, model, channels, source_kind, source_url, tenant) "
        "VALUES (gen_random_uuid(), 'completed', 'demo-zh', 'mix', 'https', 'https://e.com/', 'default');"
        "INSERT INTO sentences (job_id, run, number, channel, start_ms, end_ms, confidence, text, words, tenant) "
        "SELECT id, 1, n, 0, 0, 1, 1, repeat('好的我们再看一下这个预算', 3), '[]', tenant "
        "FROM jobs, generate_series(1, 2000) n",
    )
    monkeypatch.setattr(words, "TIMEOUT_MS", 1)
    broad = problem_of(api.get("/search", params={"q": "好的"}), 422, "invalid_request")
    assert "longer words" in broad["detail"]


def test_keys_are_listed_by_pages_and_old_revoked_ones_are_not(api: Api) -> None:
    _, headers = key_of(api)
    made = [key_of(api)[0].public_id for _ in range(4)]
    seen: list[str] = []
    after: dict[str, Any] = {}
    while True:
        page = api.client.get("/v1/keys", params={"limit": 2} | after, headers=headers).json()
        seen += [key["id"] for key in page["data"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen[:4] == made[::-1]
    assert len(seen) == len(set(seen)) == 5
    api.client.delete(f"/v1/keys/{made[0]}", headers=headers)
    assert made[0] in api.client.get("/v1/keys", headers=headers).text, "just now"
    execute(api.database, "UPDATE api_keys SET revoked_at = now() - interval '31 days' WHERE revoked_at IS NOT NULL")
    assert made[0] not in api.client.get("/v1/keys", headers=headers).text
