"""Bodies that are too large, too strange or not allowed at all; and which way the audio comes."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest
from fastapi.routing import RouteContext, iter_route_contexts
from pydantic_core import from_json

from api.auth import gate
from api.auth.visitors import visited
from api.deps import Requires, ScopedRoute
from api.http.body_limits import DEFAULT_BYTES, LISTS_OF_LINKS_BYTES
from api.main import create_app
from api.transcriptions.submitting import submit
from common import keys
from common.keys import NewKey, Scope
from common.settings import Settings
from tests.api.api_cases import Api, problem_of

SUBMIT = "/v1/transcriptions"
LINK = "https://example.com/meeting.mp3"
NOWHERE = "00000000-0000-7000-8000-000000000000"


@pytest.mark.parametrize("name", ["upload_id", "audio_urls", 'a"upload_id"b', "audio_url"])
def test_a_tag_does_not_choose_the_form_of_a_request(api: Api, name: str) -> None:
    made = api.submit_link(LINK, tags=[name])
    assert made.status_code == 202, made.text
    assert (made.json()["tags"], made.json()["source"]["url"]) == ([name], LINK)
    batch = api.client.post(SUBMIT, json={"audio_urls": [LINK], "tags": [name]})
    assert (batch.status_code, batch.json()["object"]) == (202, "batch")


def test_a_body_that_says_two_things_or_none(api: Api) -> None:
    both = api.client.post(SUBMIT, json={"audio_url": LINK, "upload_id": "up_1"})
    assert [item["field"] for item in problem_of(both, 422, "invalid_request")["errors"]] == ["audio_url"]
    assert [item["field"] for item in api.client.post(SUBMIT, json={}).json()["errors"]] == ["audio_url"]
    for body in ("[]", "null", '"upload_id"', "{", '{"upload_id"', "[" * 100_000):
        answer = api.client.post(SUBMIT, content=body, headers={"Content-Type": "application/json"})
        problem_of(answer, 422, "invalid_request")


def nested(size: int) -> bytes:
    """`[[],[],…]`, whose objects take fifty times its bytes."""
    return b"[" + b"[]," * (size // 3) + b"[]]"


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", SUBMIT, LISTS_OF_LINKS_BYTES),
        ("POST", "/v1/batches", LISTS_OF_LINKS_BYTES),
        ("POST", "/v1/keys", DEFAULT_BYTES),
        ("POST", "/v1/webhooks", DEFAULT_BYTES),
        ("POST", "/v1/uploads/presigned", DEFAULT_BYTES),
        ("PATCH", f"{SUBMIT}/tr_{NOWHERE}/sentences/0", DEFAULT_BYTES),
    ],
)
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_a_body_beyond_the_limit_is_refused_before_it_is_parsed(
    api: Api, method: str, path: str, limit: int, announced: bool
) -> None:
    body = nested(limit + 3)
    pieces = (body[start : start + 16_384] for start in range(0, len(body), 16_384))
    headers = {"Content-Type": "application/json"}
    answer = api.client.request(method, path, content=body if announced else pieces, headers=headers)
    assert answer.status_code == 413, answer.text
    assert str(limit) in answer.text
    assert "upload_too_large" in answer.text


def test_the_longest_list_of_links_fits(api: Api) -> None:
    links = [f"https://example.com/{number:03}/".ljust(4096, "a") for number in range(100)]
    assert api.client.post("/v1/batches", json={"audio_urls": links}).status_code == 202


@pytest.mark.parametrize("path", [SUBMIT, "/v1/batches", "/v1/keys"])
def test_thousands_of_wrong_fields_are_told_in_a_short_answer(api: Api, path: str) -> None:
    limit = DEFAULT_BYTES if path == "/v1/keys" else LISTS_OF_LINKS_BYTES
    body = json.dumps({f"x{number}": 0 for number in range(limit // 12)}, separators=(",", ":"))
    assert limit // 2 < len(body) <= limit
    answer = api.client.post(path, content=body, headers={"Content-Type": "application/json"})
    problem = problem_of(answer, 422, "invalid_request")
    assert len(problem["errors"]) == 20
    assert len(answer.content) < 8192
    long = api.client.post(path, json={"n" * 50_000: 0, "name": "a"})
    assert problem_of(long, 422, "invalid_request")
    assert len(long.content) < 8192


def guarded_calls() -> list[tuple[str, RouteContext]]:
    routes = iter_route_contexts(create_app(Settings()).routes)
    calls = [(method, route) for route in routes for method in sorted(route.methods or ())]
    # Visitors have no scopes.
    return [call for call in calls if gate.guarded(call[1].path or "") and not visited(call[1].path or "")]


def required(route: RouteContext) -> tuple[Scope, ...]:
    return next(item.call.scopes for item in route.dependant.dependencies if isinstance(item.call, Requires))


@pytest.mark.parametrize("call", guarded_calls(), ids=lambda call: f"{call[0]} {call[1].path}")
def test_the_scope_is_asked_before_the_body(api: Api, call: tuple[str, RouteContext]) -> None:
    method, route = call
    assert isinstance(route.original_route, ScopedRoute)
    for scope in required(route):
        refused_at_once(api, method, route, frozenset(Scope) - {scope})


def refused_at_once(api: Api, method: str, route: RouteContext, scopes: frozenset[Scope]) -> None:
    _, secret = keys.create(api.database, NewKey("other", "acme", scopes))
    path = str(route.path).replace("{number}", "0").replace("{", "").replace("}", "")
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n"
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as client:
        # The announced body never arrives: the server must not wait for it.
        client.sendall((head + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n").encode())
        assert client.recv(64).startswith(b"HTTP/1.1 403"), path


def test_validation_does_not_hold_the_other_calls_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop's own thread parses only what is short."""
    threads: list[threading.Thread] = []

    def noted(body: bytes) -> Any:
        threads.append(threading.current_thread())
        return from_json(body)

    monkeypatch.setattr(submit, "from_json", noted)
    body = json.dumps({"audio_url": LINK})
    for padding in (submit.SHORT_BODY_BYTES, submit.SHORT_BODY_BYTES + 1):
        padded = body.ljust(padding)
        answer = api.client.post("/v1/transcriptions", content=padded, headers={"Content-Type": "application/json"})
        assert answer.status_code == 202
    assert ["AnyIO worker thread" in thread.name for thread in threads] == [False, True]
