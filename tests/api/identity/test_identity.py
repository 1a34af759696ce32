"""Authorization on a real API: keys, scopes, tenants."""

from __future__ import annotations

import uuid

import httpx
import pytest
from fastapi.routing import RouteContext

from api.deps import Requires, visit_of
from common.keys import Scope
from tests.api.api_cases import Api, problem_of
from tests.api.identity.cases import (
    BEHIND_THE_GATE,
    CALLS,
    EXTRA,
    GUARDED,
    VISITED,
    ask,
    bearer,
    key_of,
    named,
    path_with,
)
from tests.servers import ADMIN_KEY

PUBLIC = {"/health/live", "/health/ready", "/metrics", "/docs", "/docs/assets/{name}", "/openapi.json"}
PUBLIC |= {"/", "/console/{version}/{name:path}"}  # static files


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
