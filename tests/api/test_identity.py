"""Authorization on a real API: keys, scopes, tenants."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import RouteContext, iter_route_contexts

from api.auth import gate, identities, visitors
from api.deps import Requires, visit_of
from api.main import create_app
from common import keys
from common.keys import ALL_SCOPES, ApiKey, NewKey, Scope
from common.settings import Settings
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, problem_of, shared_api
from tests.api.upload_cases import PATCH
from tests.db.job_cases import execute
from tests.db.webhook_cases import KEY
from tests.servers import ADMIN_KEY

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
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), secret_key=KEY, voices="on", **CHAT) as api:
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


def filled(body: Any, things: dict[str, str]) -> Any:
    """The body with the ids of things in the places that name them."""
    if not isinstance(body, dict):
        return body
    return {key: things.get(str(value).strip("{}"), value) for key, value in body.items()}
