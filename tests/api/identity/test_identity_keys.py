"""Keys: revoked, expired and rotated, and what is kept of them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.auth import identities
from common import ids, jobs, keys
from common.db import Database
from common.errors import Unauthenticated, WrongState
from common.keys import ALL_SCOPES, ApiKey, NewKey, Scope
from common.tenants import OwnLimits
from dev.stack import REPOSITORY
from tests.api.api_cases import Api, RawClient, problem_of
from tests.api.identity.cases import ask, bearer, key_of
from tests.api.upload_cases import TUS
from tests.db.job_cases import execute, one
from tests.servers import ADMIN_KEY
from tests.waiting import until


def test_a_job_belongs_to_the_key_that_submitted_it(api: Api) -> None:
    key, secret = key_of(api, "acme")
    for answer in (
        api.client.post("/v1/transcriptions", json={"audio_url": "https://e.com/a.mp3"}, headers=bearer(secret)),
        api.client.post("/v1/transcriptions", files={"file": ("a.wav", b"RIFF")}, headers=bearer(secret)),
    ):
        assert answer.status_code == 202, answer.text
        job = jobs.get(api.database, ids.parsed(ids.JOB, answer.json()["id"]))
        assert (job.tenant, job.key_id) == ("acme", key.id)


def test_revoked_expired_and_rotated_keys(api: Api) -> None:
    revoked, secret = key_of(api)
    assert ask(api, **bearer(secret)).status_code == 200
    keys.revoke(api.database, revoked.id)
    assert "revoked" in problem_of(ask(api, **bearer(secret)), 401, "unauthenticated")["detail"]

    _, expired = key_of(api, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert "expired" in problem_of(ask(api, **bearer(expired)), 401, "unauthenticated")["detail"]
    _, later = key_of(api, expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert ask(api, **bearer(later)).status_code == 200

    key, first = keys.create(api.database, NewKey("rotated", scopes=ALL_SCOPES))
    _, second = keys.rotate(api.database, key.id, grace_seconds=3600)
    assert ask(api, **bearer(first)).status_code == ask(api, **bearer(second)).status_code == 200
    _, third = keys.rotate(api.database, key.id, grace_seconds=0)
    assert [ask(api, **bearer(secret)).status_code for secret in (first, second, third)] == [401, 401, 200]
    late = "UPDATE api_keys SET previous_hash = sha256('x'), previous_until = now() - interval '1 s' WHERE name = '%s'"
    execute(api.database, late % key.name)
    with pytest.raises(Unauthenticated):
        keys.authenticated(api.database, keys.digest_of("x"))


def test_a_key_is_remembered_for_seconds_only(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[bytes] = []
    real = keys.authenticated

    def noted(database: Database, digest: bytes) -> tuple[ApiKey, OwnLimits]:
        looked_up.append(digest)
        return real(database, digest)

    monkeypatch.setattr(keys, "authenticated", noted)
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 3600.0)
    _, secret = key_of(api)
    assert [ask(api, **bearer(secret)).status_code for _ in range(10)] == [200] * 10
    assert len(looked_up) == 1
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.5)
    key, secret = key_of(api)
    assert ask(api, **bearer(secret)).status_code == 200
    keys.revoke(api.database, key.id)
    until(lambda: ask(api, **bearer(secret)).status_code == 401)


def test_use_is_noted_once_a_minute(api: Api) -> None:
    key, secret = key_of(api)
    assert key.last_used_at is None
    ask(api, **bearer(secret))
    first = keys.get_key(api.database, key.id).last_used_at
    assert first is not None
    ask(api, **bearer(secret))
    assert keys.get_key(api.database, key.id).last_used_at == first
    execute(api.database, "UPDATE api_keys SET last_used_at = now() - interval '61 seconds'")
    ask(api, **bearer(secret))
    assert (keys.get_key(api.database, key.id).last_used_at or first) > first


def test_only_the_hash_of_a_key_is_kept(api: Api) -> None:
    key, secret = key_of(api)
    row = one(api.database, "SELECT row_to_json(k)::text FROM api_keys k WHERE tenant = 'acme'")
    assert secret not in row
    assert keys.digest_of(secret).hex() in row
    assert len(secret) >= len("pq_live_") + 43
    assert secret.startswith(key.hint)
    assert len(key.hint) == 12


def test_a_stranger_is_refused_before_a_byte_of_the_upload_is_read(api: Api) -> None:
    client = RawClient(api.port)
    client.head(key=keys.new_secret(), Content_Type="multipart/form-data; boundary=b", Content_Length="1000")
    status, problem = client.answer()  # the body was never sent
    client.close()
    assert (status, problem["code"]) == (401, "unauthenticated")
    assert api.half_written() == []


def test_the_largest_upload_of_a_key(api: Api) -> None:
    _, secret = key_of(api, limits=OwnLimits(max_upload_bytes=10))
    for content, status in ((b"x" * 10, 202), (b"x" * 11, 413)):
        answer = api.client.post("/v1/transcriptions", files={"file": ("a.wav", content)}, headers=bearer(secret))
        assert answer.status_code == status, answer.text
        begun = api.client.post("/v1/uploads", headers=bearer(secret) | TUS | {"Upload-Length": str(len(content))})
        assert begun.status_code == (201 if status == 202 else 413), begun.text
    form: dict[str, Any] = {"files": {"file": ("a.wav", b"x" * 11)}, "data": {"model": "whisper-1"}}
    assert api.client.post("/v1/audio/transcriptions", headers=bearer(secret), **form).status_code == 413
    assert api.submit_file(b"x" * 11).status_code == 202  # another key of the same API


def test_the_key_of_the_settings(api: Api) -> None:
    assert ask(api, **bearer(ADMIN_KEY)).status_code == 200
    other = keys.new_secret()
    keys.ensure_admin_key(api.database, other)
    assert [ask(api, **bearer(secret)).status_code for secret in (ADMIN_KEY, other)] == [401, 200]
    keys.ensure_admin_key(api.database, None)
    assert ask(api, **bearer(other)).status_code == 401
    keys.ensure_admin_key(api.database, other)
    assert ask(api, **bearer(other)).status_code == 200
    assert len(keys.all_keys(api.database)) == 1
    for change in (keys.revoke, lambda *given: keys.rotate(*given, grace_seconds=0)):
        with pytest.raises(WrongState):
            change(api.database, keys.ADMIN_KEY_ID)


def test_keys_at_a_terminal(api: Api) -> None:
    environment = dict(os.environ) | {"PARAQUEUE_DATABASE_URL": api.settings.database_url.get_secret_value()}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "admin", "keys", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60)

    made = run("create", "first key", "--tenant", "acme", "--scope", "read")
    secret = made.stdout.strip()
    assert ask(api, **bearer(secret)).status_code == 200
    [key] = keys.all_keys(api.database, tenant="acme")
    assert (key.name, key.tenant, key.scopes) == ("first key", "acme", frozenset({Scope.READ}))
    assert key.public_id in run("list").stdout
    assert secret not in run("list").stdout
    assert run("revoke", key.public_id).returncode == 0
    assert ask(api, **bearer(secret)).status_code == 401
    assert run("create", "a", "--tenant", "No Such Name").returncode == 1
    assert run("create", "a", "--scope", "all").returncode == 2
