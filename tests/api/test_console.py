"""How the console's files are served."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from api.ops.console import loaded
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, problem_of, shared_api


@pytest.fixture(scope="module")
def api(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api")) as api:
        yield api


def ask(api: Api, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """A call without a key."""
    return httpx.request(method, f"http://127.0.0.1:{api.port}{path}", headers=headers, trust_env=False)


def test_the_page_comes_without_a_key_and_may_run_nothing_else(api: Api) -> None:
    first, second = ask(api, "/"), ask(api, "/")
    assert first.status_code == 200
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert first.headers["cache-control"] == "no-store"
    policy = first.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    policies = [answer.headers["content-security-policy"] for answer in (first, second)]
    nonces = [match[1] for policy in policies if (match := re.search(r"'nonce-([\w-]+)'", policy))]
    assert len(nonces) == 2
    assert nonces[0] != nonces[1]
    assert nonces[0] in first.text
    assert not re.search(r"<script(?![^>]* src=)|<style|style=|\son\w+=", first.text)
    assert ask(api, "/", "HEAD").status_code == 200


def test_its_files_may_be_kept_for_good(api: Api) -> None:
    version = loaded().version
    for path in re.findall(r'(?:src|href)="(console/[^"]+)"', ask(api, "/").text):
        answer = ask(api, f"/{path}")
        assert answer.status_code == 200, path
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    path = f"/console/{version}/vendor/preact.js"
    packed, plain = ask(api, path), ask(api, path, **{"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.text == plain.text
    assert ask(api, path, "HEAD").status_code == 200


def test_a_file_of_another_version_is_not_kept(api: Api) -> None:
    answer = ask(api, "/console/0123456789abcdef/js/main.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize(
    "path", ["/console/x/%2e%2e/%2e%2e/main.py", "/console/x/..%2f..%2fmain.py", "/console/x/", "/console/x/no.js"]
)
def test_nothing_else_is_served(api: Api, path: str) -> None:
    problem_of(ask(api, path), 404, "not_found")


def test_who_calls_is_told(api: Api) -> None:
    problem_of(ask(api, "/v1/session"), 401, "unauthenticated")
    session = api.client.get("/v1/session").json()
    assert session["authentication"] == "on"
    assert session["operator"] is True
    assert (session["tenant"], session["scopes"]) == ("default", ["admin", "read", "submit"])
