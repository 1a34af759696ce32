"""Calls a minute and quotas, with a Redis that is there, stopped, and one that hangs."""

from __future__ import annotations

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import structlog

from api.auth import rate_limits
from common import jobs, keys, tenants
from common.errors import RateLimited
from common.keys import ALL_SCOPES, ApiKey, NewKey
from common.tenants import OwnLimits
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, api_settings, problem_of, running_api, within_one_minute
from tests.db.job_cases import claimed, execute, submitted
from tests.servers import running_valkey


@pytest.fixture
def api(shared: Api, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(rate_limits, "PATIENCE_SECONDS", 5.0)  # a busy machine is no outage
    with redis.Redis.from_url(valkey.url()) as client:
        client.flushall()
    shared.service.rates._away_until = 0.0
    return shared.emptied()


def key_of(api: Api, **limits: int) -> tuple[ApiKey, dict[str, str]]:
    key, secret = keys.create(api.database, NewKey("test", "acme", ALL_SCOPES, limits=OwnLimits(**limits)))
    return key, {"Authorization": f"Bearer {secret}"}


def link(api: Api, headers: dict[str, str]) -> httpx.Response:
    return api.client.post("/v1/transcriptions", json={"audio_url": "https://e.com/a.mp3"}, headers=headers)


def test_calls_over_the_limit_are_429_and_say_when_to_come_back(api: Api) -> None:
    within_one_minute()
    _, headers = key_of(api, requests_per_minute=5)
    answers = [api.client.get("/v1/models", headers=headers) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"calls";q=5;w=60'] * 6
    left = [answer.headers["ratelimit"].partition(";t=") for answer in answers]
    assert [first for first, _, _ in left] == [f'"calls";r={number}' for number in (4, 3, 2, 1, 0, 0)]
    assert all(1 <= int(seconds) <= 60 for _, _, seconds in left)
    assert problem_of(answers[5], 429, "rate_limited")["retryable"]
    assert 1 <= int(answers[5].headers["retry-after"]) <= 60
    _, other = key_of(api, requests_per_minute=5)
    assert api.client.get("/v1/models", headers=other).status_code == 200
    _, plain = key_of(api, requests_per_minute=0)
    policy = api.client.get("/v1/models", headers=plain).headers["ratelimit-policy"]
    assert policy == '"calls";q=6000;w=60', "the tenant's"
    tenants.set_limits(api.database, "acme", {"requests_per_minute": 0})
    _, free = key_of(api)
    assert "ratelimit" not in api.client.get("/v1/models", headers=free).headers


@pytest.mark.parametrize("how", ["stopped", "hanging"])
def test_where_redis_is_away_calls_within_the_limit_go_on_and_nobody_waits(
    postgres: Postgres, database_url: str, tmp_path: Path, how: str
) -> None:
    del postgres
    with running_valkey(tmp_path) as valkey, running_api(api_settings(database_url, valkey.url(), tmp_path)) as api:
        assert "ratelimit" in api.client.get("/v1/models").headers
        process = valkey.child.process
        process.send_signal(signal.SIGSTOP if how == "hanging" else signal.SIGKILL)
        try:
            with structlog.testing.capture_logs() as logs:
                for _ in range(60):
                    assert api.client.get("/v1/models").status_code == 200
            assert len([line for line in logs if line["event"] == "rate_limits_local"]) == 1
            assert api.service.rates._away_until > 0
        finally:
            process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("how", ["late", "hanging", "refused"])
def test_a_limit_holds_while_redis_does_not_answer_in_time(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Callers who delay Redis or the event loop must not lift their own limits."""
    with running_valkey(tmp_path) as valkey, running_api(api_settings(database_url, valkey.url(), tmp_path)) as api:
        within_one_minute()
        _, headers = key_of(api, requests_per_minute=10)
        process = valkey.child.process
        if how == "late":
            monkeypatch.setattr(rate_limits, "PATIENCE_SECONDS", 0.0)
            monkeypatch.setattr(rate_limits, "PAUSE_SECONDS", 0.0)
        else:
            process.send_signal(signal.SIGSTOP if how == "hanging" else signal.SIGKILL)
        try:
            with ThreadPoolExecutor(8) as clients:
                answers = list(clients.map(lambda _: api.client.get("/v1/models", headers=headers), range(100)))
        finally:
            process.send_signal(signal.SIGCONT)
        allowed = [answer for answer in answers if answer.status_code == 200]
        assert len(allowed) == 10
        assert {answer.status_code for answer in answers} == {200, 429}


def test_calls_that_redis_missed_still_count_when_it_is_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    within_one_minute()
    _, headers = key_of(api, requests_per_minute=10)
    monkeypatch.setattr(api.service.rates, "_away_until", time.monotonic() + 3600)
    answers = [api.client.get("/v1/models", headers=headers).status_code for _ in range(3)]
    monkeypatch.setattr(api.service.rates, "_away_until", 0.0)
    answers += [api.client.get("/v1/models", headers=headers).status_code for _ in range(17)]
    assert answers == [200] * 10 + [429] * 10


def test_a_refusal_is_remembered_so_that_the_next_ones_cost_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    within_one_minute()
    monkeypatch.setattr(rate_limits, "TOGETHER_SECONDS", 3600.0)
    _, headers = key_of(api, requests_per_minute=5)
    assert [api.client.get("/v1/models", headers=headers).status_code for _ in range(6)] == [200] * 5 + [429]
    counted: list[object] = []
    monkeypatch.setattr(api.service.rates, "_count", lambda *arguments: counted.append(arguments))
    refused = api.client.get("/v1/models", headers=headers)
    assert problem_of(refused, 429, "rate_limited")["retryable"]
    assert refused.headers["ratelimit-policy"] == '"calls";q=5;w=60'
    assert not counted


def test_calls_that_are_refused_use_up_nothing(api: Api, valkey: Valkey) -> None:
    """Neither what Redis refuses in this process, nor what this process refuses in Redis."""
    limit = 10
    key, _ = key_of(api, requests_per_minute=limit)
    caller = api.service.authenticator._caller_of(key, OwnLimits())

    async def allowed(process: rate_limits.RateLimits, calls: int) -> int:
        number = 0
        for _ in range(calls):
            with suppress(RateLimited):
                number += bool(await process.count(caller.call_limits))
        return number

    async def called() -> list[int]:
        one, other, third = (rate_limits.RateLimits(api.service.settings) for _ in range(3))
        numbers = [await allowed(one, limit), await allowed(other, 3 * limit)]
        with redis.Redis.from_url(valkey.url()) as client:
            client.flushall()  # as after the window
        for tally in [*one._tallies.values(), *other._tallies.values()]:
            tally.refused_until = 0.0
        return [*numbers, await allowed(one, 3 * limit), await allowed(other, 4), await allowed(third, limit)]

    within_one_minute()
    assert asyncio.run(called()) == [limit, 0, 0, 4, limit - 4]


def test_the_queue_of_a_key_takes_so_many_jobs_and_no_more(api: Api) -> None:
    key, headers = key_of(api, max_queued=5)
    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(lambda _: link(api, headers), range(24)))
    accepted = [answer for answer in answers if answer.status_code == 202]
    assert len(accepted) == 5, [answer.status_code for answer in answers]
    refused = next(answer for answer in answers if answer.status_code != 202)
    assert problem_of(refused, 429, "quota_exceeded")["retryable"]
    assert int(refused.headers["retry-after"]) > 0
    _, other = key_of(api)
    assert link(api, other).status_code == 202
    waiting = jobs.page(api.database, tenant="acme").jobs
    claimed(api.database, next(job for job in waiting if job.key_id == key.id))
    assert link(api, headers).status_code == 202, "a job that runs does not wait any more"


def booked(api: Api, key: ApiKey, minutes: int, ago: str) -> None:
    execute(
        api.database,
        "INSERT INTO usage (job_id, run, ended_at, tenant, key_id, model, tags, status, audio_ms, processing_ms) "
        f"VALUES (gen_random_uuid(), 1, {ago}, 'acme', '{key.id}', 'demo-zh', '{{}}', 'completed', "
        f"{minutes * 60_000}, 1000)",
    )
    execute(
        api.database,
        "INSERT INTO usage_daily (key_id, day, audio_ms)"
        f" VALUES ('{key.id}', (({ago}) AT TIME ZONE 'UTC')::date, {minutes * 60_000})"
        " ON CONFLICT (key_id, day) DO UPDATE SET audio_ms = usage_daily.audio_ms + excluded.audio_ms",
    )


@pytest.mark.parametrize("span", ["day", "month"])
def test_minutes_of_audio(api: Api, span: str) -> None:
    limits: dict[str, Any] = {f"audio_minutes_per_{span}": 60}
    key, headers = key_of(api, **limits)
    booked(api, key, 600, f"date_trunc('{span}', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '1 second'")
    assert link(api, headers).status_code == 202, "what was before does not count"
    booked(api, key, 59, "now()")
    assert link(api, headers).status_code == 202
    running = claimed(api.database, submitted(api.database, tenant="acme", key_id=key.id))
    execute(api.database, f"UPDATE jobs SET processed_ms = 60000 WHERE id = '{running.job.id}'")
    refused = link(api, headers)
    assert span in problem_of(refused, 429, "quota_exceeded")["detail"]
    assert 0 < int(refused.headers["retry-after"]) <= 32 * 24 * 3600
    _, other = key_of(api, **limits)
    assert link(api, other).status_code == 202


def test_calls_that_are_counted_together_do_not_pass_the_limit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # However slow the machine is, calls follow one another closely enough to be counted together.
    monkeypatch.setattr(rate_limits, "TOGETHER_SECONDS", 3600.0)
    limit, processes = 1000, 3
    key, _ = key_of(api, requests_per_minute=limit)
    caller = api.service.authenticator._caller_of(key, OwnLimits())

    async def called() -> tuple[int, int]:
        counters = [rate_limits.RateLimits(api.service.settings) for _ in range(processes)]
        queries = 0

        def counted(ask: Any) -> Any:
            async def one(*arguments: Any) -> Any:
                nonlocal queries
                queries += 1
                return await ask(*arguments)

            return one

        for one in counters:
            one.ask = counted(one.ask)  # type: ignore[method-assign]
        allowed = 0
        for number in range(3 * limit):
            with suppress(RateLimited):
                allowed += bool(await counters[number % processes].count(caller.call_limits))
        return allowed, queries

    began = time.time()
    allowed, queries = asyncio.run(called())
    windows = 1 + (time.time() - began) / rate_limits.WINDOW_SECONDS  # the window slides while the calls are made
    assert 0.9 * limit <= allowed <= windows * limit
    assert queries < 3 * limit - allowed / 2, "most calls that went through asked nobody"
