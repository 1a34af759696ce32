"""Authorization on a real API: keys, scopes, tenants."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi.routing import RouteContext, iter_route_contexts

from api.auth import gate, identities, visitors
from api.deps import Requires, visit_of
from api.main import create_app
from common import ids, jobs, keys, shares, summaries, uploads, vocabularies, webhooks
from common.db import Database
from common.errors import Unauthenticated, WrongState
from common.jobs import BatchSubmission
from common.keys import ALL_SCOPES, ApiKey, NewKey, Scope
from common.settings import Settings
from common.shares import NewShare
from common.summaries import Wanted
from common.tenants import OwnLimits
from common.webhooks import NewEndpoint
from dev.postgres import Postgres
from dev.stack import REPOSITORY
from dev.valkey import Valkey
from tests.api.api_cases import Api, RawClient, problem_of, shared_api
from tests.api.upload_cases import PATCH, TUS
from tests.db.job_cases import execute, one, submission, uploaded
from tests.db.webhook_cases import KEY, SEAL
from tests.servers import ADMIN_KEY
from tests.waiting import until

PUBLIC = {"/health/live", "/health/ready", "/metrics", "/docs", "/docs/assets/{name}", "/openapi.json"}
PUBLIC |= {"/", "/console/{version}/{name:path}"}  # static files
ROUTES = list(iter_route_contexts(create_app(Settings()).routes))
CALLS = [(method, route) for route in ROUTES for method in sorted(route.methods or ())]
BEHIND_THE_GATE = [(method, route) for method, route in CALLS if gate.guarded(route.path or "")]
VISITED = [(method, route) for method, route in BEHIND_THE_GATE if visitors.visited(route.path or "")]
GUARDED = [call for call in BEHIND_THE_GATE if call not in VISITED]


EXTRA = {**PATCH, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}


def named(call: tuple[str, RouteContext]) -> str:
    return f"{call[0]} {call[1].path}"


# Nothing is sent there: no light worker runs.
CHAT = {"summary_url": "https://chat.example.com/v1", "summary_model": "test"}


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), secret_key=KEY, **CHAT) as api:
        yield api


@pytest.fixture
def api(shared: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)
    execute(shared.database, "DELETE FROM webhook_endpoints; DELETE FROM deliveries")
    return shared.emptied()


def key_of(api: Api, tenant: str = "acme", scopes: frozenset[Scope] = ALL_SCOPES, **more: Any) -> tuple[ApiKey, str]:
    return keys.create(api.database, NewKey("test", tenant, scopes, **more))


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def ask(api: Api, **headers: str) -> httpx.Response:
    """A call with exactly these headers."""
    return httpx.get(f"http://127.0.0.1:{api.port}/v1/transcriptions", headers=headers, trust_env=False)


def scope_of(route: RouteContext) -> list[tuple[Scope, ...]]:
    """The scopes that each dependency of a route requires; one of them requires a caller."""
    scopes = []
    waiting = [route.dependant]
    while waiting:
        dependant = waiting.pop()
        waiting += dependant.dependencies
        if isinstance(dependant.call, Requires):
            scopes.append(dependant.call.scopes)
    return scopes


def test_there_are_routes() -> None:
    assert len(GUARDED) > 15, "the tests below would say nothing"


@pytest.mark.parametrize("call", CALLS, ids=named)
def test_every_route_says_who_may_call_it(call: tuple[str, RouteContext]) -> None:
    _, route = call
    if call in VISITED:
        assert not scope_of(route)
        assert visit_of in [dependant.call for dependant in route.dependant.dependencies], "take VisitDep of api.deps"
    elif call in GUARDED:
        assert len(scope_of(route)) == 1, "take one of the …Caller types of api.deps"
    else:
        assert route.path in PUBLIC, "a route outside of /v1 is open to everybody; add it to PUBLIC if that is meant"
        assert not hasattr(route, "dependant") or not scope_of(route)


def test_a_bearer_token_and_a_header_do(api: Api) -> None:
    _, secret = key_of(api)
    for headers in (
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"bearer {secret}"},
        {"X-API-Key": secret},
    ):
        assert ask(api, **headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {ADMIN_KEY}"},
        {"Authorization": f"Bearer {ADMIN_KEY[:-1]}1"},
        {"Authorization": f"Bearer {ADMIN_KEY} x"},
        {"Authorization": "Bearer " + "a" * 9000},
        {"X-API-Key": "pq_live_"},
        {"X-API-Key": "ü".encode().decode("latin-1")},
        {"Cookie": f"key={ADMIN_KEY}"},
    ],
    ids=str,
)
def test_no_or_a_wrong_key_is_401(api: Api, headers: dict[str, str]) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = ask(api, **encoded)  # type: ignore[arg-type]
    problem_of(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert ADMIN_KEY[:20] not in answer.text


def test_a_key_in_the_query_is_no_key(api: Api) -> None:
    answer = httpx.get(f"http://127.0.0.1:{api.port}/v1/models?api_key={ADMIN_KEY}&access_token={ADMIN_KEY}")
    problem_of(answer, 401, "unauthenticated")


@pytest.mark.parametrize("call", BEHIND_THE_GATE, ids=named)
def test_nobody_gets_in_without_a_key(api: Api, call: tuple[str, RouteContext]) -> None:
    method, route = call
    url = f"http://127.0.0.1:{api.port}{route.path}"
    assert httpx.request(method, url, content=b"{", trust_env=False).status_code == 401


def test_a_stranger_learns_not_even_which_paths_there_are(api: Api) -> None:
    assert httpx.get(f"http://127.0.0.1:{api.port}/v1/nothing").status_code == 401
    assert api.client.get("/v1/nothing").status_code == 404


@pytest.mark.parametrize("call", GUARDED, ids=named)
def test_a_key_without_the_scope_is_403(api: Api, call: tuple[str, RouteContext]) -> None:
    method, route = call
    [scopes] = scope_of(route)
    path = path_with(str(route.path), lambda _name: str(uuid.uuid4()))
    for held in Scope:
        _, secret = key_of(api, scopes=frozenset({held}))
        answer = api.client.request(method, path, headers=bearer(secret) | (EXTRA if "/uploads" in path else {}))
        if set(scopes) <= {held}:
            assert answer.status_code not in (401, 403), answer.text
            assert "insufficient_scope" not in answer.headers.get("www-authenticate", "")
        else:
            assert answer.status_code == 403
            if method != "HEAD" and not path.startswith("/v1/audio/"):  # its errors have OpenAI's form
                problem_of(answer, 403, "forbidden")
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def path_with(path: str, value: Any) -> str:
    """The path with its parameters filled in."""
    for name in [part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith("{")]:
        path = path.replace(next(part for part in path.split("/") if part.startswith("{" + name)), value(name))
    return path


def belongings(api: Api, tenant: str) -> dict[str, str]:
    """A thing of the tenant's for each parameter that paths have."""
    job = uploaded(api.database, api.storage, tenant=tenant, summary=Wanted("minutes"))
    endpoint, _ = webhooks.create_endpoint(
        api.database, SEAL, NewEndpoint("https://example.com/hook", ("transcription.canceled",), tenant=tenant)
    )
    upload = uploads.create(
        api.database,
        tenant=tenant,
        length=10,
        name="a.wav",
        metadata=None,
        part_bytes=8 * 1024 * 1024,
        retention_seconds=3600,
    )
    one_link = submission(tenant=tenant)
    batch = BatchSubmission(ids.new_id(), {0: one_link})
    with api.database.transaction() as session:
        jobs.submit_batch(session, batch)
    jobs.cancel(api.database, job.id)
    execute(
        api.database,
        "INSERT INTO sentences (job_id, run, number, tenant, channel, start_ms, end_ms, confidence, text, words) "
        "VALUES (:id, 1, 0, :tenant, 0, 0, 1, 1, '', '[]')",
        id=job.id,
        tenant=tenant,
    )
    log = webhooks.delivery_page(api.database, webhooks.DeliveryFilter(tenant=tenant))
    assert len(log.deliveries) == 1, "of its own tenant's endpoint, and of no other"
    return {
        "transcription_id": job.public_id,
        "webhook_id": endpoint.public_id,
        "delivery_id": log.deliveries[0].public_id,
        "key_id": key_of(api, tenant)[0].public_id,
        "batch_id": ids.shown(ids.BATCH, batch.id),
        "upload_id": ids.shown(ids.UPLOAD, upload.id),
        "number": "0",
        "speaker": "1",
        "template_id": summaries.create_template(api.database, tenant=tenant, name="t", prompt="p").public_id,
        "vocabulary_id": vocabularies.create(api.database, tenant=tenant, name="names").public_id,
        "tenant": tenant,
        "share_id": shares.create(api.database, NewShare(job.id, tenant, None, 3600), 3600)[0].public_id,
    }


# Of its own tenant an admin may see, and not change, these.
OPERATORS = {("PATCH", "/v1/tenants/{tenant}")}
# What calls need besides the path, so that nothing but the tenant can be why they fail.
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/v1/webhooks/{webhook_id}"): {"description": "taken over"},
    ("PATCH", "/v1/transcriptions/{transcription_id}"): {"name": "taken over", "add_tags": ["taken"]},
    ("POST", "/v1/transcriptions/{transcription_id}/summary"): {"kind": "todos"},
    ("PATCH", "/v1/summary-templates/{template_id}"): {"name": "taken over"},
    ("PATCH", "/v1/vocabularies/{vocabulary_id}"): {"name": "taken over"},
    ("PATCH", "/v1/transcriptions/{transcription_id}/sentences/{number}"): {"text": "taken over"},
    ("POST", "/v1/transcriptions/{transcription_id}/sentences/{number}/split"): {"at_word": 1},
    ("POST", "/v1/transcriptions/{transcription_id}/sentences/{number}/merge"): {},
    ("POST", "/v1/transcriptions/{transcription_id}/corrections"): {
        "corrections": [{"number": 0, "text": "taken over"}]
    },
    ("PATCH", "/v1/transcriptions/{transcription_id}/speakers/{speaker}"): {"name": "taken over"},
    ("POST", "/v1/transcriptions/{transcription_id}/speakers/{speaker}/merge"): {"into": 2},
    ("PUT", "/v1/transcriptions/{transcription_id}/sentences/{number}/speaker"): {"speaker": 2},
    ("PATCH", "/v1/uploads/{upload_id}"): b"12345",
    ("POST", "/v1/uploads/{upload_id}"): b"12345",
    ("POST", "/v1/webhooks/{webhook_id}/replay"): {"since": "2020-01-01T00:00:00Z"},
    ("PATCH", "/v1/tenants/{tenant}"): {"max_queued": 1},
}


@pytest.mark.parametrize(
    "call", [call for call in GUARDED if "{" in str(call[1].path) and "{model}" not in str(call[1].path)], ids=named
)
def test_what_belongs_to_another_tenant_is_not_there(api: Api, call: tuple[str, RouteContext]) -> None:
    method, route = call
    theirs, _ = belongings(api, "theirs"), belongings(api, "ours")
    path = path_with(str(route.path), theirs.__getitem__)
    _, secret = key_of(api, "ours")
    api.client.get("/v1/models", headers=bearer(secret))  # its first use is noted
    before = snapshot(api)
    body = BODIES.get((method, str(route.path)))
    sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
    more = EXTRA if "/uploads/" in path else {}
    answer = api.client.request(method, path, headers=bearer(secret) | more, **sent)
    if method == "HEAD":
        assert answer.status_code == 404
    else:
        problem_of(answer, 404, "not_found")
    assert snapshot(api) == before
    if (method, route.path) in OPERATORS:
        return
    # The same call by its owner finds the thing, so the 404 says something.
    _, secret = key_of(api, "theirs")
    with api.client.stream(method, path, headers=bearer(secret) | more, **sent) as owners:
        assert owners.status_code not in (401, 403, 404, 422), (method, path)


def snapshot(api: Api) -> list[Any]:
    """Every row that a call could have changed."""
    tables = ["api_keys", "jobs", "webhook_endpoints", "deliveries", "uploads"]
    tables += [
        "sentences",
        "machine_sentences",
        "edits",
        "earlier_edits",
        "speakers",
        "peaks",
        "vocabularies",
        "summaries",
        "summary_templates",
        "shares",
    ]
    return [one(api.database, f"SELECT json_agg(t ORDER BY t::text)::text FROM {table} t") for table in tables]


def test_lists_hold_only_what_is_the_tenants_own(api: Api) -> None:
    theirs, ours = belongings(api, "theirs"), belongings(api, "ours")
    _, secret = key_of(api, "ours")
    responses = "".join(
        api.client.get(path, headers=bearer(secret)).text
        for path in (
            "/v1/transcriptions",
            "/v1/webhooks",
            "/v1/webhooks/deliveries",
            "/v1/vocabularies",
            "/v1/summary-templates",
        )
    )
    assert all(
        thing in responses
        for name, thing in ours.items()
        if name not in {"upload_id", "key_id", "batch_id", "number", "speaker", "tenant", "share_id"}
    )
    assert not any(thing in responses for name, thing in theirs.items() if name not in {"number", "speaker"})
    by_job = {"transcription_id": theirs["transcription_id"]}
    assert api.client.get("/v1/webhooks/deliveries", params=by_job, headers=bearer(secret)).json()["data"] == []


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
