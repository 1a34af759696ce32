"""Limits of a tenant, which its keys share and none of them can leave; and what a key may make."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.auth import identities, rate_limits
from common import jobs, keys, tenants
from common.keys import ALL_SCOPES, ApiKey, NewKey, Scope
from common.tenants import OwnLimits
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.integration.api_cases import Api, problem_of, shared_api, within_one_minute
from tests.integration.job_cases import claimed, execute, failed, one, part, submitted
from tests.servers import flush

SOON = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def api(shared: Api, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)
    monkeypatch.setattr(rate_limits, "PATIENCE_SECONDS", 5.0)  # a busy machine is no outage
    flush(valkey)
    return shared.emptied()


def key_of(api: Api, **more: Any) -> tuple[ApiKey, dict[str, str]]:
    values: dict[str, Any] = {"tenant": "acme", "scopes": ALL_SCOPES}
    key, secret = keys.create(api.database, NewKey("test", **values | more))
    return key, {"Authorization": f"Bearer {secret}"}


def made_by(api: Api, maker: dict[str, str], **asked: Any) -> httpx.Response:
    return api.client.post("/v1/keys", json={"name": "made", **asked}, headers=maker)


def test_what_is_not_said_of_a_key_is_as_with_its_maker(api: Api) -> None:
    _, maker = key_of(api, expires_at=SOON, limits=OwnLimits(max_queued=5, max_running=2))
    made = made_by(api, maker, limits={"max_running": 1}).json()
    assert datetime.fromisoformat(made["expires_at"]) == SOON
    assert (made["limits"]["max_queued"], made["limits"]["max_running"]) == (5, 1)
    _, free = key_of(api)
    assert made_by(api, free).json()["expires_at"] is None


@pytest.mark.parametrize(
    "asked",
    [
        {"expires_at": (SOON + timedelta(seconds=1)).isoformat()},
        {"limits": {"max_queued": 6}},
        {"scopes": ["admin"]},
        {"scopes": ["read", "submit", "admin"]},
    ],
    ids=str,
)
def test_no_key_outlives_or_outranks_its_maker(api: Api, asked: dict[str, Any]) -> None:
    scopes = frozenset({Scope.ADMIN, Scope.READ}) if "scopes" not in asked else frozenset({Scope.ADMIN})
    if asked.get("scopes") == ["admin"]:
        scopes = frozenset({Scope.READ, Scope.SUBMIT})
        _, maker = key_of(api, scopes=scopes)
        problem_of(made_by(api, maker, **asked), 403, "forbidden")
        return
    _, maker = key_of(api, scopes=scopes, expires_at=SOON, limits=OwnLimits(max_queued=5))
    problem_of(made_by(api, maker, **{"scopes": ["read"]} | asked), 403, "forbidden")


def test_zero_is_no_way_out_of_a_limit(api: Api) -> None:
    _, maker = key_of(api, limits=OwnLimits(max_queued=5))
    assert made_by(api, maker, limits={"max_queued": 0}).json()["limits"]["max_queued"] == 5


def test_the_secret_of_a_key_that_may_more_is_not_to_be_had(api: Api) -> None:
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
