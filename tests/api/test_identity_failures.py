"""Invalid keys, tokens and sessions: only clients that send too many are limited."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from starlette.requests import HTTPConnection

from api.auth import identities, rate_limits
from api.auth.lockout import address_of
from api.main import create_app
from api.server import make_server
from common import keys
from common.db import Database
from common.keys import ALL_SCOPES, ApiKey, NewKey
from common.settings import Settings
from common.tenants import OwnLimits
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, api_settings, problem_of, running_api, shared_api, within_one_minute
from tests.db.webhook_cases import KEY
from tests.servers import running_valkey

FAILURES = 9
OF_ONE = FAILURES // 3
FIRST, SECOND = "198.51.100.7", "198.51.100.8"  # client addresses in a header; no connections are made to them


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    place = tmp_path_factory.mktemp("api")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rate_limits, "PATIENCE_SECONDS", 5.0)  # read once, for the connections
            changes: dict[str, Any] = {"auth_failures_per_minute": FAILURES, "secret_key": KEY}
            api = stack.enter_context(shared_api(postgres, valkey, place, **changes))
        yield api


@pytest.fixture
def api(shared: Api, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(rate_limits, "PATIENCE_SECONDS", 5.0)  # a busy machine is no outage
    with redis.Redis.from_url(valkey.url()) as client:
        client.flushall()
    shared.service.rates.forget()  # what the process itself counted
    return shared.emptied()


def ask(api: Api, credential: str, *, client: str = FIRST, **headers: str) -> httpx.Response:
    sent_headers = {"Authorization": f"Bearer {credential}", "X-Forwarded-For": client, **headers}
    return httpx.get(f"http://127.0.0.1:{api.port}/v1/models", headers=sent_headers, trust_env=False)


def statuses(answers: list[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


def test_too_many_wrong_keys_are_429_and_cost_no_look_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[bytes] = []
    real = keys.authenticated

    def noted(database: Database, digest: bytes) -> tuple[ApiKey, OwnLimits]:
        looked_up.append(digest)
        return real(database, digest)

    monkeypatch.setattr(keys, "authenticated", noted)
    within_one_minute()
    answers = [ask(api, keys.new_secret()) for _ in range(FAILURES + 3)]
    assert statuses(answers) == [401] * FAILURES + [429] * 3
    assert problem_of(answers[-1], 429, "rate_limited")["retryable"]
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in answers[-3:])
    assert len(looked_up) == FAILURES
    assert ask(api, keys.new_secret(), client=SECOND).status_code == 401, "another address is another matter"


def test_many_at_once_get_no_more_answers_than_one_after_the_other(api: Api) -> None:
    within_one_minute()
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda _: ask(api, keys.new_secret()), range(48)))
    answered = statuses(answers)
    assert set(answered) == {401, 429}
    assert answered.count(401) == FAILURES


def test_one_key_that_is_over_does_not_shut_out_its_neighbours(api: Api) -> None:
    stale = keys.new_secret()
    within_one_minute()
    assert statuses([ask(api, stale) for _ in range(20)]) == [401] * OF_ONE + [429] * (20 - OF_ONE)
    _, good = keys.create(api.database, NewKey("new", "acme", ALL_SCOPES))
    assert ask(api, good).status_code == 200


def test_who_was_let_in_before_stays_in_and_a_guess_that_hits_says_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)
    first, known = keys.create(api.database, NewKey("known", "acme", ALL_SCOPES))
    _, unknown = keys.create(api.database, NewKey("unknown", "acme", ALL_SCOPES))
    assert ask(api, known).status_code == 200
    within_one_minute()
    assert [ask(api, keys.new_secret()).status_code for _ in range(FAILURES + 1)][-1] == 429
    assert ask(api, known).status_code == 200
    assert ask(api, unknown).status_code == 429
    assert ask(api, unknown, client=SECOND).status_code == 200
    keys.revoke(api.database, first.id)
    assert statuses([ask(api, known), ask(api, known)]) == [429, 429], "it is as unknown as any other now"


@pytest.mark.parametrize("kind", ["token", "cookie", "header"])
def test_tokens_and_cookies_count_as_keys_do(api: Api, kind: str) -> None:
    def call(number: int) -> httpx.Response:
        wrong = f"{number}{'x' * 60}"
        headers = {
            "token": {"Authorization": f"Bearer {wrong}"},
            "cookie": {"Cookie": f"paraqueue_session={wrong}"},
            "header": {"X-API-Key": wrong},
        }[kind]
        url = f"http://127.0.0.1:{api.port}/v1/models"
        return httpx.get(url, headers={**headers, "X-Forwarded-For": FIRST}, trust_env=False)

    within_one_minute()
    assert statuses([call(number) for number in range(FAILURES + 1)]) == [401] * FAILURES + [429]


def test_calls_without_a_credential_are_no_guesses(api: Api) -> None:
    url = f"http://127.0.0.1:{api.port}/v1/models"
    assert {httpx.get(url, trust_env=False).status_code for _ in range(FAILURES + 3)} == {401}


def test_only_a_proxy_that_is_trusted_says_who_calls(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "PATIENCE_SECONDS", 5.0)
    changes: dict[str, Any] = {"auth_failures_per_minute": FAILURES, "trusted_proxies": "192.0.2.0/24"}
    with running_api(api_settings(database_url, redis_url, tmp_path, **changes)) as api:
        within_one_minute()
        answers = [ask(api, keys.new_secret(), client=f"203.0.113.{number}") for number in range(FAILURES + 1)]
    assert statuses(answers) == [401] * FAILURES + [429], "a client cannot give itself a new address"


def test_the_server_is_told_whom_to_trust() -> None:
    settings = Settings(trusted_proxies="192.0.2.1, 10.0.0.0/8")
    assert make_server(create_app(settings), settings).config.forwarded_allow_ips == ["192.0.2.1", "10.0.0.0/8"]
    assert make_server(create_app(settings), Settings(trusted_proxies="")).config.forwarded_allow_ips == []
    for wrong in ("*", "proxy.example", "10.0.0.1/8"):
        with pytest.raises(ValueError, match="trusted_proxies"):
            Settings(trusted_proxies=wrong)


@pytest.mark.parametrize("how", ["stopped", "hanging"])
def test_where_redis_is_away_each_process_counts_wrong_keys_alone(database_url: str, tmp_path: Path, how: str) -> None:
    with running_valkey(tmp_path) as valkey:
        settings = api_settings(database_url, valkey.url(), tmp_path, auth_failures_per_minute=FAILURES)
        with running_api(settings) as api:
            process = valkey.child.process
            process.send_signal(signal.SIGSTOP if how == "hanging" else signal.SIGKILL)
            try:
                within_one_minute()
                answers = [ask(api, keys.new_secret()) for _ in range(3 * FAILURES)]
                assert statuses(answers) == [401] * FAILURES + [429] * (2 * FAILURES)
            finally:
                process.send_signal(signal.SIGCONT)


def test_invented_credentials_do_not_fill_redis(api: Api, valkey: Valkey) -> None:
    url = f"http://127.0.0.1:{api.port}/v1/models"
    for number in range(10 * FAILURES):
        headers = {"Cookie": f"paraqueue_session=garbage{number}", "X-Forwarded-For": FIRST}
        httpx.get(url, headers=headers, trust_env=False)
    with redis.Redis.from_url(valkey.url()) as client:
        written = [key for key in client.keys("*") if b"calls" in key]
    assert len(written) <= FAILURES + 2, "one for each that was counted, and those of the address"


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not an address\n", "unknown"),
        ("", "unknown"),
    ],
)
def test_an_address_is_what_somebody_cannot_change_at_will(host: str, counted: str) -> None:
    assert address_of(HTTPConnection({"type": "http", "client": (host, 1), "headers": []})) == counted
